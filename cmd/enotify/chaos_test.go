package main_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"enotify/cmd/enotify/sitetest"
	"enotify/queue/localpg"
	"enotify/queue/queuetest"
)

var (
	chaosFor  = flag.Duration("chaos", 7*time.Second, "how long TestChaos makes trouble")
	chaosSeed = flag.Uint64("seed", 0, "of the trouble that TestChaos makes; 0: a new one")
)

// What the nodes are held to.
const (
	chaosNodes       = 3
	chaosDomains     = 12
	chaosRate        = 60 // messages a second to a domain
	chaosBurst       = 10
	chaosConnections = 8   // to the one site
	chaosInFlight    = 200 // of a node: begun, or picked, and not recorded
	chaosBatch       = 1000
)

// Three nodes on a database of their own, and trouble of all kinds at random.
// After it: nobody lost, nobody twice, no rate exceeded, one batch at a time,
// and in doubt only what a kill can have left so.
func TestChaos(t *testing.T) {
	t.Parallel()
	c := newChaos(t)
	var begin, calm sync.WaitGroup
	for _, n := range c.nodes {
		begin.Go(n.start)
	}
	begin.Wait()
	trouble, over := context.WithTimeout(t.Context(), *chaosFor)
	defer over()
	for i, n := range c.nodes {
		calm.Go(func() { c.troubleNode(trouble, n, rand.New(rand.NewPCG(c.seed, uint64(i))), i) })
	}
	calm.Go(func() { c.troubleDatabase(trouble, rand.New(rand.NewPCG(c.seed, 99))) })
	calm.Go(func() { c.feed(trouble, rand.New(rand.NewPCG(c.seed, 100))) })
	watching, enough := context.WithCancel(t.Context())
	var watch sync.WaitGroup
	watch.Go(func() { c.watch(watching) })
	calm.Wait()

	w := witness{chaos: c}
	defer w.leave()
	for done := false; !done && !t.Failed(); time.Sleep(50 * time.Millisecond) {
		w.ask(t.Context(), `SELECT coalesce(bool_and(finished_at IS NOT NULL), false) FROM enotify.batch`, &done)
	}
	for _, n := range c.nodes {
		n.stop()
	}
	enough()
	watch.Wait()
	c.judge()
}

// A chaos is a site whose parts fail.
type chaos struct {
	*site
	seed     uint64
	dir      string // of the database server
	server   *localpg.Server
	direct   atomic.Pointer[url.URL] // of the database just now
	nodes    [chaosNodes]*chaosNode
	auditor  auditor
	kills    atomic.Int32
	stops    atomic.Int32
	restarts atomic.Int32
	cuts     atomic.Int32
	exposed  atomic.Int32 // connections open at the kills
	polls    int
	failed   atomic.Int32 // polls that the database could not answer
}

func newChaos(t *testing.T) *chaos {
	c := &chaos{seed: *chaosSeed, dir: queuetest.OwnDir(t, true)}
	if c.seed == 0 {
		c.seed = rand.Uint64()
	}
	t.Logf("again with: go test ./cmd/enotify -run '^TestChaos$' -chaos %v -seed %d", *chaosFor, c.seed)
	if err := c.startDatabase(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.server.Stop(context.Background()) })
	c.site = &site{sitetest.On(t, c.direct.Load().String(), c.auditor.receiver())}
	c.Exec(`UPDATE enotify.destination SET rate_messages = $1, burst = $2, connections = $3`, chaosRate, chaosBurst,
		chaosConnections)
	host := t.TempDir() // of the first two nodes; the third is elsewhere
	for i := range c.nodes {
		if i == 2 {
			host = t.TempDir()
		}
		name := fmt.Sprintf("n%d", i+1)
		c.nodes[i] = &chaosNode{chaos: c, name: name, state: host, log: filepath.Join(t.ArtifactDir(), name+".log"),
			link: newLink(t, c.URL, func() string { return c.direct.Load().Host })}
	}
	return c
}

func (c *chaos) startDatabase(ctx context.Context) (err error) {
	if c.server, err = localpg.Start(ctx, localpg.Options{Dir: c.dir}); err != nil {
		return err
	}
	u, err := url.Parse(c.server.URL())
	if err != nil {
		return err
	}
	c.direct.Store(u)
	return c.careless(ctx, u.String())
}

// careless has the server commit without waiting for its disk, unless it is asked
// to wait: what the nodes intend and record must be asked for.
func (c *chaos) careless(ctx context.Context, server string) error {
	conn, err := pgx.Connect(ctx, server)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, `ALTER SYSTEM SET synchronous_commit = off`)
	if err == nil {
		_, err = conn.Exec(ctx, `SELECT pg_reload_conf()`)
	}
	return err
}

// A witness asks the database beside the nodes, on a connection of its own,
// and makes a new one whenever that is broken.
type witness struct {
	*chaos
	conn *pgx.Conn
}

// ask runs a query of one value, and reports whether the database answered.
func (w *witness) ask(ctx context.Context, sql string, into any, args ...any) bool {
	var err error
	if w.conn == nil || w.conn.IsClosed() {
		if w.conn, err = pgx.Connect(ctx, w.direct.Load().String()); err != nil {
			return false
		}
	}
	err = w.conn.QueryRow(ctx, sql, args...).Scan(into)
	// operator intervention
	if no := (*pgconn.PgError)(nil); errors.As(err, &no) && no.Code[:2] != "57" && ctx.Err() == nil {
		w.Errorf("%s: %v", sql, err)
	}
	return err == nil
}

func (w *witness) leave() {
	if w.conn != nil {
		_ = w.conn.Close(context.Background())
	}
}

// feed keeps work there: batches of several priorities, so that the turn is
// taken away as well.
func (c *chaos) feed(ctx context.Context, r *rand.Rand) {
	w := witness{chaos: c}
	defer w.leave()
	for n := 1; ctx.Err() == nil; n++ {
		var batch int64
		priority, size := r.IntN(3), chaosBatch
		if n%4 > 0 { // small ones take their turns together
			size = 1 + r.IntN(3)
		}
		for ctx.Err() == nil && !w.ask(ctx,
			`SELECT enotify.enqueue('k' || $1::int, 'info@town.example', 'Lunch menu', 'Soup.',
			ARRAY(SELECT format('b%s-u%s@d%s.test', $1::int, i, i % $3::int) FROM generate_series(1, $2::int) i), priority => $4::int)`, &batch, n, size, chaosDomains, priority) {
			pause(ctx, 50*time.Millisecond)
		}
		for few := false; ctx.Err() == nil && !few; pause(ctx, 50*time.Millisecond) {
			w.ask(ctx, `SELECT coalesce(sum(pending), 0) < $1 FROM enotify.batch_status`, &few, 2*chaosBatch)
		}
	}
}

// pause waits for d, or less when ctx ends.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

func between(r *rand.Rand, low, high time.Duration) time.Duration {
	return low + time.Duration(r.Int64N(int64(high-low)))
}

// troubleNode does one evil after the other to a node. What it has begun it
// ends, so that the node is well afterwards.
func (c *chaos) troubleNode(ctx context.Context, n *chaosNode, r *rand.Rand, first int) {
	for kind := first; ; kind = r.IntN(3) {
		pause(ctx, between(r, 500*time.Millisecond, 3*time.Second))
		if ctx.Err() != nil {
			return
		}
		switch kind {
		case 0:
			n.kill()
			c.kills.Add(1)
			time.Sleep(between(r, 0, 5*time.Second)) // the others take over, or it comes back before
			n.start()
		case 1: // for longer than a lease lasts
			n.signal(syscall.SIGSTOP)
			c.stops.Add(1)
			time.Sleep(between(r, 3*time.Second, 7*time.Second))
			n.signal(syscall.SIGCONT)
		case 2:
			n.link.cut()
			c.cuts.Add(1)
			time.Sleep(between(r, 0, time.Second))
			n.link.mend()
		}
	}
}

// troubleDatabase stops the server as a crash does, and starts it again.
func (c *chaos) troubleDatabase(ctx context.Context, r *rand.Rand) {
	for first := true; ; first = false {
		longest := 8 * time.Second
		if first {
			longest = 4 * time.Second
		}
		pause(ctx, between(r, 2*time.Second, longest))
		if ctx.Err() != nil {
			return
		}
		text, err := os.ReadFile(filepath.Join(c.dir, "data/postmaster.pid"))
		if err != nil {
			c.Error(err)
			return
		}
		first, _, _ := strings.Cut(string(text), "\n")
		pid, err := strconv.Atoi(first)
		if err != nil {
			c.Error(err)
			return
		}
		err = errors.Join(syscall.Kill(pid, syscall.SIGQUIT), c.server.Stop(c.Context()), c.startDatabase(c.Context()))
		if err != nil {
			c.Errorf("restart of the database: %v", err)
			return
		}
		c.restarts.Add(1)
	}
}

// watch asks all along, beside the nodes, for what must never be.
func (c *chaos) watch(ctx context.Context) {
	w := witness{chaos: c}
	defer w.leave()
	for ; ctx.Err() == nil; pause(ctx, 10*time.Millisecond) {
		var wrong string
		if !w.ask(ctx, `
			SELECT concat_ws('; ',
				(SELECT format('%s batches are sending', count(*)) FROM enotify.batch WHERE state = 'sending' HAVING count(*) > 1),
				(SELECT format('batch %s: %s', id, s) FROM enotify.batch_status s
				 WHERE pending + sending + deferred + delivered + bounced + suppressed + invalid + expired + unknown + cancelled <> total OR least(pending, sending, deferred) < 0 LIMIT 1))`, &wrong) {
			c.failed.Add(1)
			continue
		}
		c.polls++
		if wrong != "" {
			c.Errorf("seen while it ran: %s", wrong)
			return
		}
	}
}

// judge compares what the database says with what the receivers saw.
func (c *chaos) judge() {
	c.Helper()
	c.URL = c.direct.Load().String()
	c.Run("batch", "audit")
	conn, err := pgx.Connect(c.Context(), c.URL)
	if err != nil {
		c.Fatal(err)
	}
	defer conn.Close(c.Context())
	rows, err := conn.Query(c.Context(), `SELECT address, state FROM enotify.delivery`)
	if err != nil {
		c.Fatal(err)
	}
	states := map[string]int{}
	sum, got := 0, 0
	var address, state string
	if _, err := pgx.ForEachRow(rows, []any{&address, &state}, func() error {
		states[state]++
		sum++
		copies := c.auditor.copies[address]
		got += copies
		if copies > 1 || state == "delivered" && copies != 1 || state == "bounced" &&
			(copies != 0 || !noSuchUser(address)) {
			c.Errorf("%s: %s, and got %d copies", address, state, copies)
		}
		return nil
	}); err != nil {
		c.Fatal(err)
	}
	for state := range states {
		if state != "delivered" && state != "bounced" && state != "unknown" {
			c.Errorf("recipients %s at the end: %d, want 0", state, states[state])
		}
	}
	// What was admitted just before a second may begin in it: at most what may be under way to the site at once.
	domain, most := c.auditor.busiest()
	if limit := chaosRate + chaosBurst + 2*chaosConnections; most > limit {
		c.Errorf("transactions begun in one second at %s: got %d, want at most %d", domain, most, limit)
	}
	if limit := int(c.exposed.Load()); states["unknown"] > limit {
		c.Errorf("in doubt: got %d, want at most the %d connections that were open at the kills", states["unknown"],
			limit)
	}
	c.Logf("%d kills, %d stops, %d cuts, %d restarts of PostgreSQL in %v; %d recipients, %d copies, %v; at most %d a second to a domain (%d/s, burst %d); %d connections open at the kills; %d polls",
		c.kills.Load(), c.stops.Load(), c.cuts.Load(), c.restarts.Load(), *chaosFor, sum, got, states, most, chaosRate,
		chaosBurst, c.exposed.Load(), c.polls)
}

// A chaosNode is a process that is killed, stopped and cut off.
type chaosNode struct {
	*chaos
	name  string
	log   string // its path
	state string // folder of its journal
	link  *link
	cmd   *exec.Cmd
	gone  chan struct{} // closed when the process has ended
	ends  atomic.Bool   // it is meant to
}

// start starts the process, as often as it takes until it sends: while the
// database goes away and comes back, it ends with a line that says so.
func (n *chaosNode) start() {
	const patience = 600 // of a recovery on a slow disk
	for range patience {
		if n.startOnce() || n.Failed() {
			return
		}
		time.Sleep(200 * time.Millisecond)
	}
	n.Errorf("node %s does not start:\n%s", n.name, n.logEnd())
}

func (n *chaosNode) startOnce() (began bool) {
	cmd := n.Enotify("run", "--node", n.name, "--helo", n.name+".test", "--state-dir", n.state,
		"--max-in-flight", strconv.Itoa(chaosInFlight), "--retry-first", "300ms", "--retry-max", "1s")
	cmd.Env = append(cmd.Env, "DATABASE_URL="+n.link.url.String())
	log, err := os.OpenFile(n.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		n.Error(err)
		return false
	}
	defer log.Close()
	before, err := log.Stat()
	if err != nil {
		n.Error(err)
		return false
	}
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		n.Error(err)
		return false
	}
	gone := make(chan struct{})
	n.cmd, n.gone = cmd, gone
	n.ends.Store(true)
	go func() {
		defer close(gone)
		if err := cmd.Wait(); !n.ends.Load() {
			n.Errorf("node %s ended by itself: %v\n%s", n.name, err, n.logEnd())
		}
	}()
	n.Cleanup(func() { n.ends.Store(true); _ = cmd.Process.Kill(); <-gone })
	var started time.Time // it may wait before that for the node of its name that was killed
	for {
		said, _ := os.ReadFile(n.log)
		text := string(said[before.Size():])
		if started.IsZero() && strings.Contains(text, "msg=started") {
			started = time.Now()
		}
		if strings.Contains(text, "msg=leased") || strings.Contains(text, "replayed the journal") ||
			!started.IsZero() && time.Since(started) > 5*time.Second {
			n.ends.Store(false)
			return true
		}
		select {
		case <-gone:
			if said := strings.TrimSpace(n.logEnd()); !strings.HasPrefix(said[strings.LastIndex(said, "\n")+1:],
				"enotify: ") {
				n.Errorf("node %s ended at its start:\n%s", n.name, said)
			}
			return false
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func (n *chaosNode) logEnd() string {
	text, _ := os.ReadFile(n.log)
	return string(text[max(0, len(text)-3000):])
}

func (n *chaosNode) signal(s os.Signal) {
	if err := n.cmd.Process.Signal(s); err != nil {
		n.Errorf("%v to %s: %v", s, n.name, err)
	}
}

// kill kills the process, and counts the connections that it had open. It is
// stopped while they are counted, so that it opens no more.
func (n *chaosNode) kill() {
	n.ends.Store(true)
	n.signal(syscall.SIGSTOP)
	time.Sleep(50 * time.Millisecond) // what it had sent arrives
	n.exposed.Add(int32(n.SMTP.OpenFrom(n.name + ".test")))
	n.signal(syscall.SIGKILL)
	<-n.gone
}

// stop ends the node in order.
func (n *chaosNode) stop() {
	n.ends.Store(true)
	n.signal(syscall.SIGTERM)
	<-n.gone
	if code := n.cmd.ProcessState.ExitCode(); code != 0 {
		n.Errorf("node %s after SIGTERM: got exit code %d, want 0\n%s", n.name, code, n.logEnd())
	}
}
