package engine_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"enotify/queue"
	"enotify/queue/queuetest"
)

// A forgetful is a database that can be set back to an earlier state, as by a
// restored backup or a standby that lagged.
type forgetful struct {
	*queuetest.Fixture
	data, backup string
	server       *exec.Cmd
}

func newForgetful(t *testing.T) *forgetful {
	t.Helper()
	o := queuetest.NewOwnServer(t, true)
	if err := o.PostgreSQL.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	d := &forgetful{Fixture: o.Fixture, data: filepath.Join(o.Dir, "data"), backup: filepath.Join(o.Dir, "backup")}
	d.start()
	d.DB = queuetest.Open(t, d.URL)
	return d
}

func (d *forgetful) start() {
	d.Helper()
	d.server = queuetest.StartAgain(d.T, d.data)
	d.Conn = queuetest.ConnectWhenUp(d.T, d.URL)
}

// kill ends the server with all it has not written.
func (d *forgetful) kill() {
	d.Helper()
	if err := d.server.Process.Kill(); err != nil {
		d.Fatal(err)
	}
	_ = d.server.Wait()
	for { // its children end by themselves, and must not meet the next ones
		if err := os.Remove(filepath.Join(d.data, "postmaster.pid")); err != nil && !os.IsNotExist(err) {
			d.Fatal(err)
		}
		if out, _ := exec.Command("pgrep", "-f", "-P", "1", d.data).Output(); len(out) == 0 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func (d *forgetful) copy(from, to string) {
	d.Helper()
	if err := os.RemoveAll(to); err != nil {
		d.Fatal(err)
	}
	if out, err := exec.Command("cp", "-a", from, to).CombinedOutput(); err != nil {
		d.Fatalf("cp: %v: %s", err, out)
	}
}

// remember keeps the state to which forget goes back.
func (d *forgetful) remember() {
	d.Helper()
	if err := d.server.Process.Signal(os.Interrupt); err != nil { // fast shutdown
		d.Fatal(err)
	}
	_ = d.server.Wait()
	d.copy(d.data, d.backup)
	d.start()
}

// forget sets the database back: a backup is restored, or a standby that had come
// no further is promoted.
func (d *forgetful) forget(promoted bool) {
	d.Helper()
	d.kill()
	d.copy(d.backup, d.data)
	if !promoted {
		d.start()
		return
	}
	d.server = queuetest.StartStandby(d.T, d.data)
	d.Conn = queuetest.ConnectWhenUp(d.T, d.URL)
	if !queuetest.Query[bool](d.Fixture, `SELECT pg_promote()`) {
		d.Fatal("the standby was not promoted")
	}
}

func (d *forgetful) sent(atLeast int) {
	d.Helper()
	for d.Context().Err() == nil && len(d.Sent()) < atLeast {
		time.Sleep(time.Millisecond)
	}
}

// nobodyTwice fails if somebody got two copies, or unless all are delivered, at least so many,
// or in doubt, some.
func (d *forgetful) nobodyTwice(batch int64, all, least int) {
	d.Helper()
	queuetest.Copies(d.T, d.Sent(), len(d.Sent()), 1)
	got := d.States(batch)
	if got["delivered"]+got["unknown"] != all || got["unknown"] == 0 || got["delivered"] < least {
		d.Errorf("states: got %v, want %d delivered or unknown, at least %d and some", got, all, least)
	}
}

// A ration is how many messages the handler of one node lets go. The others wait in it,
// so that a node is in the middle of its work however long the test stands still.
type ration struct{ n, most atomic.Int64 }

// handle is slowly within the ration.
func (r *ration) handle(ctx context.Context, m queue.Message) queue.Outcome {
	for n := r.n.Add(1); n > r.most.Load() && ctx.Err() == nil; {
		time.Sleep(time.Millisecond)
	}
	return slowly(ctx, m)
}

// used waits until the node has begun n messages.
func (r *ration) used(t *testing.T, n int64) {
	t.Helper()
	for giveUp := time.Now().Add(2 * time.Minute); r.n.Load() < n; time.Sleep(time.Millisecond) {
		if time.Now().After(giveUp) {
			t.Fatalf("messages that the node began: got %d, want %d", r.n.Load(), n)
		}
	}
}

// slowly takes a millisecond for each message.
func slowly(ctx context.Context, m queue.Message) queue.Outcome {
	time.Sleep(time.Millisecond)
	return queuetest.Deliver(ctx, m)
}

func TestDatabaseWentBack(t *testing.T) {
	t.Parallel()
	const all = 2000
	tests := map[string]struct {
		nodes    int
		journal  bool
		promoted bool
		restart  bool // the nodes end before the database goes back, and others start after
		doubtful bool // some may end unknown
		gone     bool // the first node ends before the database goes back, and its journal is elsewhere
	}{
		"one node":                   {nodes: 1, journal: true},
		"two nodes":                  {nodes: 2, journal: true},
		"a lagging standby":          {nodes: 2, journal: true, promoted: true},
		"one node without a journal": {nodes: 1, doubtful: true},
		"a node that is gone":        {nodes: 2, journal: true, gone: true, doubtful: true},
		"its journal alone":          {nodes: 1, journal: true, restart: true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newForgetful(t)
			batch := d.Enqueue("menu", all, manyDomains(40)...) // each node has some of them
			d.Exec(`INSERT INTO enotify.egress (address) VALUES ($1)`, queuetest.Egress)
			d.Exec(`INSERT INTO enotify.warmup (address, site, caps) VALUES ($1, '*', '{100000}')`, queuetest.Egress)
			dir := ""
			if test.journal {
				dir = t.TempDir()
			}
			served := make(chan error, 2*test.nodes)
			var stays, gone ration
			stays.most.Store(700)
			gone.most.Store(50)
			serve := func(ctx context.Context, name string) {
				handle := stays.handle
				if name == "gone" {
					handle = gone.handle
				}
				s := d.Server(name, func(ctx context.Context, m queue.Message) queue.Outcome {
					o := handle(ctx, m)
					o.Egress, o.Site = m.Egress[0].Addr, m.Domain
					return o
				})
				s.UntilIdle, s.MaxInFlight, s.StateDir = false, 20, dir
				if test.gone {
					s.StateDir = t.TempDir()
				}
				go func() { served <- d.Run(ctx, s, "pass") }()
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			goes, leave := context.WithCancel(ctx)
			defer leave()
			for i := range test.nodes {
				if test.gone && i == 0 {
					serve(goes, "gone")
					continue
				}
				serve(ctx, string(rune('a'+i)))
			}
			d.sent(300)
			if test.gone {
				gone.used(t, 50)
			}
			d.remember()
			if test.gone { // it sends after the state to which the database goes back
				gone.most.Store(150)
				gone.used(t, 100)
			}
			before := len(d.Sent())
			stays.most.Store(1200)
			d.sent(before + 300)
			gone.most.Store(all)
			stays.most.Store(2 * all)
			if test.restart {
				cancel()
				for range test.nodes {
					if err := <-served; err != nil {
						t.Fatal(err)
					}
				}
				ctx, cancel = context.WithCancel(t.Context())
				defer cancel()
			}
			if test.gone {
				leave()
				if err := <-served; err != nil {
					t.Fatal(err)
				}
			}
			d.forget(test.promoted)
			if test.restart {
				d.DB = queuetest.Open(t, d.URL)
				for i := range test.nodes {
					serve(ctx, string(rune('p'+i)))
				}
			}
			d.Until(cancel, `SELECT state = 'done' FROM enotify.batch WHERE id = $1`, batch)
			for i := range test.nodes {
				if test.gone && i == 0 {
					continue
				}
				if err := <-served; err != nil {
					t.Error(err)
				}
			}
			if test.doubtful { // some were sent to, and nobody knows whom
				queuetest.Copies(t, d.Sent(), len(d.Sent()), 1)
			} else {
				d.SentOnce(all)
			}
			// What is known of without a journal alone may be forgotten.
			if got := queuetest.Query[int](d.Fixture, `SELECT begun FROM enotify.egress_day WHERE site = '*'`); test.journal &&
				got < len(d.Sent()) {
				t.Errorf("messages that count against the warm-up: got %d, want the %d that left, or more", got, len(d.Sent()))
			}
			got := d.States(batch)
			if test.doubtful {
				if got["delivered"]+got["unknown"] != all || got["unknown"] == 0 {
					t.Errorf("states: got %v, want %d delivered or unknown, and some unknown", got, all)
				}
			} else if want := map[string]int{"delivered": all}; !cmp.Equal(got, want) {
				t.Errorf("states: got %v, want %v", got, want)
			}
		})
	}
}

// A node takes groups after the state to which the database goes back, sends, and is
// gone. The database knows neither the node nor that the groups changed hands.
func TestNodeThatTheDatabaseForgot(t *testing.T) {
	t.Parallel()
	const all = 3000
	d := newForgetful(t)
	domains := make([]string, 30)
	for i := range domains {
		domains[i] = fmt.Sprintf("d%d.example", i)
	}
	batch := d.Enqueue("menu", all, domains...)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	served := make(chan error, 2)
	serve := func(ctx context.Context, name string, handle queue.Handler) {
		s := d.Server(name, handle)
		s.UntilIdle, s.MaxInFlight, s.StateDir = false, 20, t.TempDir()
		go func() { served <- d.Run(ctx, s, "pass") }()
	}
	var stays, comes ration
	stays.most.Store(500)
	comes.most.Store(150)
	serve(ctx, "stays", stays.handle)
	d.sent(100)
	d.remember()

	goes, leave := context.WithCancel(ctx)
	defer leave()
	serve(goes, "comes and goes", comes.handle)
	comes.used(t, 100)
	comes.most.Store(all)
	leave()
	if err := <-served; err != nil {
		t.Fatal(err)
	}
	d.forget(false)
	stays.most.Store(2 * all)
	d.Until(cancel, `SELECT state = 'done' FROM enotify.batch WHERE id = $1`, batch)
	if err := <-served; err != nil {
		t.Error(err)
	}
	d.nobodyTwice(batch, all, all/10)
}

// The leases of a node run out while the server starts again. Another node comes first, takes
// the groups, sends, and is gone. Then the database goes back to before that: it takes the
// groups for those of the first node, which has had no lease of them in this era.
func TestGroupsThatWereLostBeforeTheEra(t *testing.T) {
	t.Parallel()
	const all = 3000
	d := newForgetful(t)
	batch := d.Enqueue("menu", all, manyDomains(30)...)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	served := make(chan error, 2)
	serve := func(ctx context.Context, name string, db *queue.DB, r *ration) {
		s := d.Server(name, r.handle)
		s.DB, s.UntilIdle, s.MaxInFlight, s.StateDir = db, false, 20, t.TempDir()
		go func() { served <- d.Run(ctx, s, "pass") }()
	}
	var stays, comes ration
	stays.most.Store(500)
	comes.most.Store(150)
	tap := queuetest.NewTap(t, d.URL)
	serve(ctx, "stays", queuetest.Open(t, tap.URL), &stays)
	d.sent(100)
	resume := tap.Hold()
	d.remember()
	d.Exec(`UPDATE enotify.lease SET until = now() - interval '1 s'`)
	d.Exec(`UPDATE enotify.node SET live_until = now() - interval '1 s'`)

	goes, leave := context.WithCancel(ctx)
	defer leave()
	serve(goes, "comes and goes", d.DB, &comes)
	comes.used(t, 100)
	resume()
	d.Until(func() {}, `SELECT n.era = e.number AND n.live_until > now() FROM enotify.node n, enotify.era e
		WHERE n.name = 'stays'`)
	d.Exec(`BEGIN`) // so that it takes none of the groups that the other one gives back
	d.Exec(`SELECT FROM enotify.node WHERE name = 'stays' FOR UPDATE`)
	comes.most.Store(all)
	leave()
	if err := <-served; err != nil {
		t.Fatal(err)
	}
	d.forget(false)
	stays.most.Store(2 * all)
	d.Until(cancel, `SELECT state = 'done' FROM enotify.batch WHERE id = $1`, batch)
	if err := <-served; err != nil {
		t.Error(err)
	}
	d.nobodyTwice(batch, all, 100)
}

// The server starts twice in a row, and meanwhile the node cannot take the groups that are free:
// it vouches for those that it has, and nobody is in doubt.
func TestServerThatStartsTwice(t *testing.T) {
	t.Parallel()
	const all = 600
	d := newForgetful(t)
	batch := d.Enqueue("menu", all, manyDomains(30)...)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var r ration
	r.most.Store(100)
	s := d.Server("a", r.handle)
	s.UntilIdle, s.MaxInFlight, s.StateDir = false, 20, t.TempDir()
	served := make(chan error, 1)
	go func() { served <- d.Run(ctx, s, "pass") }()
	d.sent(50)
	d.Exec(`CREATE FUNCTION public.no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$`)
	d.Exec(`CREATE TRIGGER no BEFORE UPDATE ON enotify.lease FOR EACH ROW
		WHEN (OLD.node_id IS NULL AND NEW.node_id IS NOT NULL) EXECUTE FUNCTION public.no()`)
	d.Exec(`UPDATE enotify.lease SET node_id = NULL, until = '-infinity' WHERE grp < 32`)
	for range 2 {
		before := queuetest.Query[int64](d.Fixture, `SELECT number FROM enotify.era`)
		d.remember()
		d.Until(func() {}, `SELECT e.number > $1 AND e.settled_at IS NOT NULL AND n.era = e.number
			FROM enotify.era e, enotify.node n`, before)
	}
	d.Exec(`DROP TRIGGER no ON enotify.lease`)
	r.most.Store(all)
	d.Until(cancel, `SELECT state = 'done' FROM enotify.batch WHERE id = $1`, batch)
	if err := <-served; err != nil {
		t.Error(err)
	}
	d.SentOnce(all)
	if got, want := d.States(batch), map[string]int{"delivered": all}; !cmp.Equal(got, want) {
		t.Errorf("states: got %v, want %v", got, want)
	}
}

// The numbers of events that a database has forgotten are not given again: a reader
// goes on after the last one that it has seen, and misses nothing.
func TestEventNumbersAfterTheDatabaseWentBack(t *testing.T) {
	t.Parallel()
	d := newForgetful(t)
	d.Exec(`UPDATE enotify.event_setting SET every = true`)
	last := func(key string) (last int64) {
		t.Helper()
		d.Exec(`SELECT enotify.create_batch($1, 'info@town.example', 's', 't')`, key)
		d.Exec(`SELECT enotify.number_events()`)
		return queuetest.Query[int64](d.Fixture, `SELECT enotify.last_event()`)
	}
	first := last("kept")
	d.remember()
	var read int64
	for _, key := range []string{"lost 1", "lost 2", "lost 3"} {
		read = last(key)
	}
	if read < first+3 {
		t.Fatalf("numbers before: got %d and then %d, want three events more", first, read)
	}
	d.forget(false)
	last("new 1")
	last("new 2")
	got := queuetest.Query[[]string](d.Fixture, `SELECT array_agg(idem_key ORDER BY id) FROM enotify.events($1)`, read)
	if diff := cmp.Diff([]string{"new 1", "new 2"}, got); diff != "" {
		t.Errorf("events after the last one read (-want +got):\n%s", diff)
	}
}

// A batch that was enqueued and sent after the state to which the database goes back is
// named: whoever enqueues it again would send second copies.
func TestBatchThatTheDatabaseForgot(t *testing.T) {
	t.Parallel()
	const all = 100
	d := newForgetful(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	served := make(chan error, 1)
	s := d.Server("a", queuetest.Deliver)
	s.UntilIdle, s.StateDir = false, t.TempDir()
	go func() { served <- d.Run(ctx, s, "pass") }()
	d.Until(func() {}, `SELECT count(*) = 1 FROM enotify.node`)
	d.remember()
	batch := d.Enqueue("menu", all, "receiver.example")
	d.Until(func() {}, `SELECT count(*) = 1 FROM enotify.batch WHERE state = 'done'`)
	d.forget(false)
	d.Until(cancel, `SELECT count(*) > 0 FROM enotify.alert WHERE kind = 'database_went_back'`)
	if err := <-served; err != nil {
		t.Error(err)
	}
	got := queuetest.Query[string](d.Fixture, `SELECT text FROM enotify.alert WHERE kind = 'database_went_back'`)
	if want := fmt.Sprintf("forgotten had left: %d messages of batch %d, created 20", all, batch); !strings.Contains(got, want) {
		t.Errorf("alert: got %q, want it to say %q", got, want)
	}
}
