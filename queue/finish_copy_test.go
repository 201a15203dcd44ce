package queue_test

import (
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
