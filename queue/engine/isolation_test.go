package engine_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"enotify/queue"
	"enotify/queue/engine"
	"enotify/queue/queuetest"
)

// crowd is 50 clients with a batch each; the first client gets a poison.
const crowd = 50

// A neighbourhood is a database with the crowd, and a login of the first client.
type neighbourhood struct {
	*queuetest.Fixture
	bad    *pgx.Conn // its login's
	login  string    // URL
	closed *wholeGates
	silent chan struct{} // closed at the end: until then silent.example does not answer
}

// wholeGates are gates that admit small batches as a whole, as a throttle does.
type wholeGates struct{ gates }

func (g *wholeGates) AdmitAll(want map[string]int, _ bool, now time.Time) bool {
	for name := range want {
		if n, _ := g.Admit(name, 1, now); n == 0 {
			return false
		}
	}
	return true
}

// poisons are what one client or login does to stop the others. The next to send find them all: those that came before
// stay until the end. They send to the domains named.
var poisons = []struct {
	name string
	give func(n *neighbourhood, names []string)
}{
	{"never expires", func(n *neighbourhood, _ []string) { // first: the ALTER waits for open transactions
		n.submit("infinity", queuetest.Addresses(10, []string{"a.example"}))
		n.Exec(`ALTER TABLE enotify.batch DROP CONSTRAINT batch_expires_at_check`)
		n.Exec(`UPDATE enotify.batch SET expires_at = 'infinity' WHERE idem_key = 'infinity'`)
	}},
	{"silent after the dot", func(n *neighbourhood, _ []string) {
		n.submit("silent", queuetest.Addresses(200, []string{"silent.example"}))
	}},
	{"closed site", func(n *neighbourhood, _ []string) {
		n.submit("closed", queuetest.Addresses(20_000, []string{"closed.example"}))
	}},
	{"many silent domains", func(n *neighbourhood, _ []string) {
		n.submit("many", queuetest.Addresses(400, silentDomains(400)))
	}},
	{"content being replaced", func(n *neighbourhood, _ []string) {
		n.exec(`SELECT enotify.enqueue('replaced', 'info@c0.example', 'S', 'x', $1, not_before => now() + interval '1 s')`,
			queuetest.Addresses(10, []string{"a.example"})) // it is locked when its time comes
		n.open(`SELECT enotify.replace_content(id, 'Another subject') FROM enotify.batch_status WHERE idem_key = 'replaced'`)
	}},
	{"first domains in an open transaction", func(n *neighbourhood, names []string) {
		n.open(`SELECT enotify.enqueue('first', 'info@c0.example', 'S', 'x', $1)`, queuetest.Addresses(20, names))
	}},
	{"key of a batch in an open transaction", func(n *neighbourhood, names []string) {
		n.submit("key", queuetest.Addresses(1000, names))
		n.open(`SELECT enotify.enqueue('key', 'info@c0.example', 'S', 'x', '{x@a.example}')`)
	}},
	{"guessed advisory locks", func(n *neighbourhood, _ []string) {
		n.open(`SELECT pg_advisory_xact_lock(i) FROM generate_series(1, 500) i`)
	}},
	{"a backlog of batches", func(n *neighbourhood, _ []string) {
		n.exec(`SELECT count(enotify.enqueue('b' || i, 'info@c0.example', 'S', 'x', '{x@a.example}',
			not_before => now() + '1 h')) FROM generate_series(1, 100) i`)
	}},
	{"an address that an operator has locked", func(n *neighbourhood, _ []string) {
		n.bad = queuetest.Connect(n.T, n.URL)
		n.open(`INSERT INTO enotify.suppression (address, cause) VALUES ('user0@gone.example', 'operator')`)
		n.Exec(`SELECT enotify.enqueue('gone', 'info@c0.example', 'S', 'x', $1)`,
			queuetest.Addresses(10, []string{"gone.example"}))
	}},
	{"drafts", func(n *neighbourhood, _ []string) {
		n.exec(`SELECT count(enotify.create_batch('d' || i, 'info@c0.example', 'S', 'x')) FROM generate_series(1, 1000) i`)
	}},
}

func silentDomains(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("silent%d.example", i)
	}
	return names
}

// open begins a transaction of the login that stays open, with a statement.
func (n *neighbourhood) open(sql string, args ...any) {
	n.exec(`BEGIN`)
	n.exec(sql, args...)
}

func (n *neighbourhood) exec(sql string, args ...any) {
	n.Helper()
	if _, err := n.bad.Exec(n.Context(), sql, args...); err != nil {
		n.Fatalf("%s: %v", sql, err)
	}
}

func (n *neighbourhood) submit(key string, addresses []string) {
	n.Helper()
	n.exec(`SELECT enotify.enqueue($1, 'info@c0.example', 'S', 'x', $2)`, key, addresses)
}

func newNeighbourhood(t *testing.T) *neighbourhood {
	t.Helper()
	n := &neighbourhood{Fixture: queuetest.NewFixture(t),
		closed: &wholeGates{gates{closed: map[string]bool{"closed.example": true}}}, silent: make(chan struct{})}
	n.Exec(`INSERT INTO enotify.client (domain) SELECT 'c' || i || '.example' FROM generate_series(0, $1 - 1) i`, crowd)
	n.login = queuetest.Login(t, n.URL, "enotify_app")
	n.bad = queuetest.Connect(t, n.login)
	n.Exec(`INSERT INTO enotify.client_login SELECT id, $1 FROM enotify.client WHERE domain = 'c0.example'`,
		n.bad.Config().User)
	return n
}

// server is a node beside the test until its end.
func (n *neighbourhood) server() {
	s := n.Server("n1", func(ctx context.Context, m queue.Message) queue.Outcome {
		if len(m.Domain) > 6 && m.Domain[:6] == "silent" {
			select {
			case <-n.silent:
			case <-ctx.Done():
			}
		}
		return queuetest.AnswerByDomain(ctx, m)
	})
	s.Admission = n.closed
	s.Survey = func(ctx context.Context, domain string) (queue.Survey, error) {
		return queue.Survey{Site: domain, TTL: time.Hour}, nil
	}
	node(n.Fixture, s)
	n.Cleanup(func() { close(n.silent) })
}

// send has the others send to 20 domains, and returns how long that took until all were through.
func (n *neighbourhood) send(key string, names []string) time.Duration {
	n.Helper()
	began := time.Now()
	app := queuetest.Connect(n.T, n.URL)
	for i := 1; i < crowd; i++ {
		if _, err := app.Exec(n.Context(),
			`SELECT enotify.enqueue($1, 'info@c' || $2::int || '.example', 'S', 'x', $3)`,
			key, i, queuetest.Addresses(20, names[i%5:i%5+5])); err != nil {
			n.Fatal(err)
		}
	}
	await(n.Fixture, `SELECT count(*) = $2 FROM enotify.batch WHERE idem_key = $1 AND state = 'done'`, key, crowd-1)
	return time.Since(began)
}

// What one client, login or receiver does stops nobody else: beside all of it 49 clients are through about as soon as
// alone.
func TestIsolation(t *testing.T) {
	t.Parallel()
	n := newNeighbourhood(t)
	n.server()
	names := domains(20 * (len(poisons) + 1))
	alone := n.send("alone", names[:20])
	for i, p := range poisons {
		n.bad = queuetest.Connect(t, n.login)
		names := names[20*(i+1):][:20]
		p.give(n, names)
		beside := n.send(p.name, names)
		t.Logf("%v beside %s, %v alone", beside, p.name, alone)
		if limit := 2*alone + 8*time.Second; beside > limit {
			t.Errorf("49 clients beside %s: got %v, want at most %v (alone %v)", p.name, beside, limit, alone)
		}
	}
}

// What is asked about each client, once a second or in every turn, reads none of the many batches that one of them has.
func TestBatchesOfOneClientAreNotRead(t *testing.T) {
	t.Parallel()
	n := newNeighbourhood(t)
	n.Exec(`SET session_replication_role = replica`) // without triggers
	n.Exec(`INSERT INTO enotify.batch (client_id, idem_key, from_address, subject, state, submitted_at, started_at,
		expires_at, created_by) SELECT c.id, i, 'info@c0.example', 'S', 'retrying', now(), now(), now() + interval '1 day',
		'app' FROM enotify.client c, generate_series(1, 3000) i WHERE c.domain = 'c0.example'`)
	for _, ask := range []string{
		`SELECT enotify.client_pools(id) FROM enotify.client WHERE domain = 'c0.example'`,
		`SELECT enotify.out_of_plan(id, 0, NULL, false) FROM enotify.client WHERE domain = 'c0.example'`,
	} {
		n.blocks(ask) // makes its plan
		if got := n.blocks(ask); got > 100 {
			t.Errorf("%s: read %d blocks, want at most 100", ask, got)
		}
	}
}

// A batch that brings very many new domains does not have those of others read them all, with plans that were made before
// it came.
func TestDomainsOfOneBatchAreNotRead(t *testing.T) {
	t.Parallel()
	n := newNeighbourhood(t)
	n.submit("before", queuetest.Addresses(5, domains(5)))
	n.Exec(`SET plan_cache_mode = force_generic_plan`) // as after five uses
	n.Exec(`PREPARE domains AS ` + engine.BatchDomainsSQL)
	questions := []string{
		`SELECT enotify.enqueue('k' || now(), 'info@c1.example', 'S', 'x', '{x@d1.example,x@d2.example,x@d3.example}')`,
		`EXECUTE domains(1)`,
	}
	before := make([]int, len(questions))
	for i, ask := range questions {
		n.blocks(ask)
		before[i] = n.blocks(ask)
	}
	n.Exec(`INSERT INTO enotify.site (name, grp) SELECT 's' || i || '.example', 0 FROM generate_series(1, 30000) i`)
	n.Exec(`INSERT INTO enotify.domain (name, grp, site_id) SELECT 'new' || i || '.example', 1, s.id
		FROM generate_series(1, 30000) i JOIN enotify.site s ON s.name = 's' || i || '.example'`)
	for i, ask := range questions {
		got := n.blocks(ask)
		for range 2 { // after an ANALYZE, or when other tests make databases, one of them reads the catalog too
			got = min(got, n.blocks(ask))
		}
		if got > before[i]+100 {
			t.Errorf("%s: read %d blocks, want at most 100 more than the %d before there were so many domains", ask, got,
				before[i])
		}
	}
}

// blocks is how many blocks of tables and indexes a statement reads.
func (n *neighbourhood) blocks(sql string) int {
	n.Helper()
	var read []struct {
		Plan struct {
			Blocks int `json:"Shared Hit Blocks"`
		}
	}
	plan := queuetest.Query[[]byte](n.Fixture, `EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) `+sql)
	if err := json.Unmarshal(plan, &read); err != nil {
		n.Fatal(err)
	}
	return read[0].Plan.Blocks
}
