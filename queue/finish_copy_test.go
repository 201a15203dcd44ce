package queue_test

import (
	"regexp"
	"testing"
	"time"

	"enotify/queue"
	"enotify/queue/queuetest"
)

// Many outcomes go by COPY. Of a recipient that was forgotten, requeued or has an
// outcome already, they are as exact as few.
func TestFinishMany(t *testing.T) {
	t.Parallel()
	const n = 300
	for name, test := range map[string]struct{ before, want string }{
		"plain":     {`SELECT 1`, "300 300 300"},
		"forgotten": {`INSERT INTO enotify.forgotten (batch_id, seq) VALUES (1, 5)`, "300 300 299"},
		"requeued": {`INSERT INTO enotify.retry (batch_id, seq, domain_id, grp, due_at, first_at, attempts, tries)
SELECT 1, 7, domain_id, grp, now(), now(), 1, 1 FROM enotify.batch_domain`, "299 299 299"},
		"in doubt": {`INSERT INTO enotify.outcome (batch_id, seq, state) VALUES (1, 9, 'unknown')`, "300 300 300"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := queuetest.NewFixture(t)
			batch := f.Enqueue("menu", n, "a.example")
			domain := queuetest.Query[int32](f, `SELECT id FROM enotify.domain`)
			f.Exec(test.before)
			var results []queue.Result
			for seq := int32(n); seq > 0; seq-- {
				results = append(results, queue.Result{Batch: batch, Seq: seq, DomainID: domain, Try: 1, Attempts: 1,
					At: time.Now(), Outcome: queue.Outcome{State: queue.Bounced, Class: queue.Policy,
						Reply: queue.Reply{Code: 550, Enhanced: "5.7.1", Text: "not today"}}})
			}
			for range 2 { // nobody knows whether the first was committed
				if _, err := f.DB.Finish(t.Context(), results); err != nil {
					t.Fatal(err)
				}
			}
			got := queuetest.Query[string](f, `
SELECT format('%s %s %s', count(*), (SELECT sum(n) FROM enotify.batch_count WHERE batch_id = 1 AND state = 'bounced'),
	count(*) FILTER (WHERE reply = 'not today' AND at BETWEEN now() - interval '1 minute' AND now() + interval '1 minute'))
FROM enotify.outcome WHERE batch_id = 1 AND state = 'bounced' AND class = 'policy' AND code = 550 AND enhanced = '5.7.1'`)
			if got != test.want {
				t.Errorf("outcomes, counted, with reply and time: got %q, want %q", got, test.want)
			}
		})
	}
}

// Outcomes find the deferred recipients among them by their keys: to record forty, all
// 6,000 deferred ones of a batch were read.
func TestDeferredRecipientsAreFoundByKey(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	f.Exec(`INSERT INTO enotify.retry (batch_id, seq, domain_id, grp, due_at, first_at, attempts, tries, class)
		SELECT 1, i, 1, 1, now(), now(), 0, 0, 'offline' FROM generate_series(1, 6000) i`)
	f.Exec(`PREPARE finish AS ` + queue.FinishSQL)
	f.Exec(`PREPARE plain AS ` + queue.PlainSQL)
	seqs := `'` + queuetest.Query[string](f, `SELECT array_agg(i)::text FROM generate_series(10001, 10040) i`) + `'`
	of := `array_fill(1::bigint, '{40}'), ` + seqs
	all := regexp.MustCompile(`"Node Type": "Seq Scan"[^{}]*"Relation Name": "retry"`)
	for _, ask := range []string{
		`finish(` + of + `, array_fill('delivered'::text, '{40}'), array_fill(NULL::text, '{40}'),
			array_fill(250::smallint, '{40}'), array_fill(NULL::text, '{40}'), array_fill('ok'::text, '{40}'),
			array_fill(now(), '{40}'), array_fill(1, '{40}'))`,
		`plain(` + of + `, ` + seqs + `, '{1}')`,
	} {
		plan := queuetest.Query[[]byte](f, `EXPLAIN (FORMAT JSON) EXECUTE `+ask)
		if all.Match(plan) {
			t.Errorf("%s reads all deferred recipients:\n%s", ask, plan)
		}
	}
}
