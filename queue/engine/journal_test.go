package engine_test

import (
	"context"
	"fmt"
	"hash/crc32"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"enotify/queue"
	"enotify/queue/engine"
	"enotify/queue/queuetest"
	"enotify/queue/retention"
)

// A wreck is what a node leaves that was killed with 90 messages under way: 30
// have the receiver's answer, 30 had left without one, and 30 were begun but had
// not left. No outcome is in the database.
type wreck struct {
	*queuetest.Fixture
	batch    int64
	stateDir string
	mu       sync.Mutex
	left     map[string]int // messages by address, of all nodes
}

func (w *wreck) leave(m queue.Message) bool {
	if !m.MayBegin() || !m.MayEnd() {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.left[m.Address]++
	return true
}

func (w *wreck) deliver(ctx context.Context, m queue.Message) queue.Outcome {
	if !w.leave(m) {
		return queue.Outcome{State: queue.Deferred, Class: queue.NotBegun}
	}
	return queuetest.Deliver(ctx, m)
}

func newWreck(t *testing.T, onUnknown string) *wreck {
	t.Helper()
	f := queuetest.NewFixture(t)
	w := &wreck{Fixture: f, batch: f.Enqueue("menu", 300, "a.example", "b.example", "c.example"), stateDir: t.TempDir(),
		left: map[string]int{}}
	f.Exec(`UPDATE enotify.batch SET on_unknown = $1`, onUnknown)
	ctx, cancel := context.WithCancel(t.Context())
	var here, begun, served sync.WaitGroup
	here.Add(90)
	begun.Add(90)
	var arrived atomic.Int32
	cut := make(chan struct{})
	s := f.Server("dead", func(ctx context.Context, m queue.Message) queue.Outcome {
		i := arrived.Add(1) % 3
		here.Done()
		if i == 2 {
			m.MayBegin()
		} else {
			w.leave(m)
		}
		begun.Done()
		if i == 0 {
			<-cut
			return queue.Outcome{State: queue.Delivered,
				Reply: queue.Reply{Code: 250, Text: "2.0.0 \"taken\"\nover {two} lines"}}
		}
		<-ctx.Done()
		return queue.Outcome{State: queue.Deferred, Class: queue.NotBegun}
	})
	s.DB, s.MaxInFlight, s.Grace, s.StateDir = queuetest.Open(t, f.URL), 90, time.Millisecond, t.TempDir()
	served.Go(func() { _ = f.Run(ctx, s, "pass") })
	here.Wait()
	begun.Wait()
	s.DB.Close() // what comes now is not recorded
	close(cut)
	for strings.Count(readJournal(t, s.StateDir), "\n= ") < 30 {
		time.Sleep(time.Millisecond)
	}
	// the disk as a kill would leave it, and unlocked
	if err := os.CopyFS(w.stateDir, os.DirFS(s.StateDir)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); served.Wait() })
	return w
}

func readJournal(t *testing.T, stateDir string) string {
	t.Helper()
	text, err := os.ReadFile(journalPath(t, stateDir))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func journalPath(t *testing.T, stateDir string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(stateDir, "*.journal", "lines"))
	if err != nil || len(found) != 1 {
		t.Fatalf("journals in %s: got %v (%v), want 1", stateDir, found, err)
	}
	return found[0]
}

func (w *wreck) edit(change func(text string) string) {
	w.Helper()
	if err := os.WriteFile(journalPath(w.T, w.stateDir), []byte(change(readJournal(w.T, w.stateDir))),
		0o600); err != nil {
		w.Fatal(err)
	}
}

// heir serves with the journal until nothing is due.
func (w *wreck) heir(name string) {
	w.Helper()
	s := w.Server(name, w.deliver)
	s.StateDir = w.stateDir
	w.Serve(s)
}

func (w *wreck) want(states map[string]int) {
	w.Helper()
	if got := w.States(w.batch); !cmp.Equal(got, states) {
		w.Errorf("states: got %v, want %v", got, states)
	}
	for address, n := range w.left {
		if n != 1 {
			w.Errorf("%s: got %d transactions, want 1", address, n)
		}
	}
	w.Balances()
}

// The next node of the host does not wait for the leases of the dead one: what
// has its answer is recorded, what was not begun is sent, the rest is in doubt.
func TestJournalIsReplayed(t *testing.T) {
	t.Parallel()
	w := newWreck(t, "hold")
	w.heir("heir")
	w.want(map[string]int{"delivered": 270, "unknown": 30})
	if got, want := queuetest.Query[int](w.Fixture,
		`SELECT count(*)::int FROM enotify.outcome WHERE code = 250 AND reply = $1`,
		"2.0.0 \"taken\"\nover {two} lines"), 30; got != want {
		t.Errorf("replies of the journal: got %d, want %d", got, want)
	}
	journals, _ := filepath.Glob(filepath.Join(w.stateDir, "*.journal", "lines"))
	for _, file := range journals { // they are kept for a while: the database may forget
		if text, err := os.ReadFile(file); err != nil || !strings.Contains(string(text), "\nx ") {
			t.Errorf("%s: got %q (%v), want it closed", file, text, err)
		}
	}
	if len(journals) != 2 {
		t.Errorf("journals: got %v, want one of each node", journals)
	}
	if got := queuetest.Query[string](w.Fixture,
		`SELECT coalesce(string_agg(name, ', '), '') FROM enotify.node WHERE name <> 'dead' OR NOT EXISTS (SELECT FROM enotify.node WHERE name = 'dead')`); got != "" {
		t.Errorf("nodes left: got %s, want none", got)
	}
}

// Another node has settled everything as in doubt, and finished the batch,
// before the journal is read: it is opened again.
func TestJournalComesLate(t *testing.T) {
	t.Parallel()
	w := newWreck(t, "hold")
	w.Serve(w.Server("other host", w.deliver))
	w.want(map[string]int{"delivered": 210, "unknown": 90})
	w.heir("heir")
	w.want(map[string]int{"delivered": 270, "unknown": 30})
	if got := queuetest.Query[string](w.Fixture, `SELECT state::text FROM enotify.batch WHERE id = $1`,
		w.batch); got != "done" {
		t.Errorf("batch: got %s, want done", got)
	}
	if got := queuetest.Query[int](w.Fixture, `SELECT count(*)::int FROM enotify.doubt`); got != 0 {
		t.Errorf("doubts left: got %d, want 0", got)
	}
}

// What the operator has decided meanwhile stands, unless the message was delivered.
func TestJournalComesAfterTheOperator(t *testing.T) {
	t.Parallel()
	w := newWreck(t, "hold")
	w.Serve(w.Server("other host", w.deliver))
	w.Exec(`SELECT enotify.mark_delivered($1)`, w.batch)
	w.heir("heir")
	w.want(map[string]int{"delivered": 300})
	if got := len(w.left); got != 270 {
		t.Errorf("transactions: got %d, want 270", got)
	}
}

// Of a batch that was cancelled nothing is sent any more.
func TestJournalOfACancelledBatch(t *testing.T) {
	t.Parallel()
	w := newWreck(t, "hold")
	w.Exec(`SELECT enotify.cancel_batch($1)`, w.batch)
	w.heir("heir")
	w.want(map[string]int{"delivered": 30, "unknown": 30, "cancelled": 240})
}

// Of a recipient whose address was forgotten the journal's outcome is recorded, and
// not the words of the receiver.
func TestJournalOfAForgottenRecipient(t *testing.T) {
	t.Parallel()
	w := newWreck(t, "hold")
	_, rest, _ := strings.Cut(readJournal(t, w.stateDir), "\n= ")
	seq := strings.Fields(rest)[1]
	address := queuetest.Query[string](w.Fixture,
		`SELECT address FROM enotify.recipient WHERE batch_id = $1 AND seq = $2::text::int`, w.batch, seq)
	if _, err := retention.Of(w.DB).Forget(t.Context(), address, false); err != nil {
		t.Fatal(err)
	}
	w.heir("heir")
	w.want(map[string]int{"delivered": 270, "unknown": 30})
	got := queuetest.Query[string](w.Fixture,
		`SELECT state || ' ' || coalesce(reply, 'without words') FROM enotify.outcome WHERE batch_id = $1 AND seq = $2::text::int`, w.batch, seq)
	if want := "delivered without words"; got != want {
		t.Errorf("outcome of the forgotten recipient: got %s, want %s", got, want)
	}
}

// Of a batch that was pruned nothing is recorded any more: its counts stand.
func TestJournalOfAPrunedBatch(t *testing.T) {
	t.Parallel()
	w := newWreck(t, "hold")
	w.Serve(w.Server("other host", w.deliver))
	w.Exec(`SELECT enotify.prune_batch($1)`, w.batch)
	w.heir("heir")
	s, err := w.DB.Status(t.Context(), w.batch)
	if err != nil {
		t.Fatal(err)
	}
	if s.Delivered != 210 || s.Unknown != 90 {
		t.Errorf("counts: got %d delivered and %d unknown, want 210 and 90", s.Delivered, s.Unknown)
	}
	w.Balances()
}

// After a restore the database may give the number of a batch to another one. Results
// that a journal knows of the first are not written for the second. Recipients to whom
// this database says that the dead node had begun, and nothing had left, are sent to.
func TestJournalOfAnotherBatchOfThatNumber(t *testing.T) {
	t.Parallel()
	w := newWreck(t, "hold")
	w.Serve(w.Server("other host", w.deliver))
	w.Exec(`UPDATE enotify.batch SET created_at = created_at + interval '1 second' WHERE id = $1`, w.batch)
	w.heir("heir")
	w.want(map[string]int{"delivered": 240, "unknown": 60})
}

// A node that has been dead for a month is forgotten, and what only it knew.
func TestOldDoubtsAreForgotten(t *testing.T) {
	t.Parallel()
	w := newWreck(t, "hold")
	w.Serve(w.Server("other host", w.deliver))
	w.Exec(`UPDATE enotify.node SET live_until = now() - interval '31 days'`)
	w.Serve(w.Server("other host", w.deliver))
	if got := queuetest.Query[int](w.Fixture, `SELECT count(*)::int FROM enotify.doubt`); got != 0 {
		t.Errorf("doubts left: got %d, want 0", got)
	}
	w.want(map[string]int{"delivered": 210, "unknown": 90})
}

// Under resend the journal spares recipients that have got the message.
func TestJournalSparesWhoHasIt(t *testing.T) {
	t.Parallel()
	w := newWreck(t, "resend")
	w.heir("heir")
	if got, want := w.States(w.batch), map[string]int{"delivered": 300}; !cmp.Equal(got, want) {
		t.Errorf("states: got %v, want %v", got, want)
	}
	twice := 0
	for _, n := range w.left {
		if n > 1 {
			twice++
		}
	}
	if twice != 30 {
		t.Errorf("recipients with two transactions: got %d, want the 30 in doubt", twice)
	}
}

// A crash of the machine may have cost lines: who has none is in doubt.
func TestJournalOfAnotherBoot(t *testing.T) {
	t.Parallel()
	w := newWreck(t, "hold")
	w.edit(func(text string) string {
		head, rest, _ := strings.Cut(text, "\n")
		fields := strings.Fields(head)
		fields[2] = "11111111-2222-3333-4444-555555555555"
		head = strings.Join(fields[:4], " ")
		return fmt.Sprintf("%s %08x\n%s", head, crc32.ChecksumIEEE([]byte(head)), rest)
	})
	w.heir("heir")
	w.want(map[string]int{"delivered": 240, "unknown": 60})
}

// The last line may be cut off: what it was to announce did not begin. A line
// that is spoilt may have been any, so that all without one are in doubt.
func TestJournalIsTornOrSpoilt(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(string) string
		want   map[string]int
	}{
		"torn": {func(text string) string { return text + "+ 1 2" },
			map[string]int{"delivered": 270, "unknown": 30}},
		"spoilt": {func(text string) string { return strings.Replace(text, "\n+ ", "\n+ 1", 1) },
			map[string]int{"delivered": 240, "unknown": 60}},
		"zeroes at end": {func(text string) string { return text + "\x00\x00\x00\n" },
			map[string]int{"delivered": 240, "unknown": 60}},
		"no journal": {func(string) string { return "good morning\n" },
			map[string]int{"delivered": 210, "unknown": 90}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWreck(t, "hold")
			w.edit(c.change)
			w.heir("heir")
			w.want(c.want)
		})
	}
}

// A journal of a node that lives, or of another database, is left alone.
func TestJournalOfOthersIsLeftAlone(t *testing.T) {
	t.Parallel()
	w := newWreck(t, "hold")
	other := queuetest.NewFixture(t)
	s := other.Server("elsewhere", queuetest.Deliver)
	s.StateDir = w.stateDir
	other.Serve(s)
	w.heir("heir")
	w.want(map[string]int{"delivered": 270, "unknown": 30})
}

// A result is written again since the answer of the database was lost, and its
// recipient was requeued meanwhile: the try that began then stays noted when the
// result before it is recorded at last.
func TestJournalTellsTriesApart(t *testing.T) {
	t.Parallel()
	got, err := engine.TriesBegun(t.TempDir(), func(begin, end, recorded func(try int)) {
		begin(1)
		end(1)
		begin(1_000_001)
		recorded(1)
	})
	if want := []int{1_000_001}; err != nil || !cmp.Equal(got, want) {
		t.Errorf("tries that may have begun: got %v (%v), want %v", got, err, want)
	}
}

// Messages that end at the same moment have their lines written together. None of them
// leaves before its line is in the file, whoever wrote it, and no line is lost when a
// new file begins meanwhile.
func TestJournalOfManyAtOnce(t *testing.T) {
	t.Parallel()
	const goroutines, each = 50, 4
	dir := t.TempDir()
	var left atomic.Int32
	err := engine.WriteJournalTogether(dir, goroutines, each, func(file string, seq int32) {
		left.Add(1)
		if text, err := os.ReadFile(file); err != nil || !strings.Contains(string(text), fmt.Sprintf("\n+ 1234 %d 1 ", seq)) {
			t.Errorf("message %d leaves, and the file has no line of it (%v)", seq, err)
		}
	})
	if got := left.Load(); err != nil || got != goroutines*each {
		t.Errorf("messages that left: got %d (%v), want %d", got, err, goroutines*each)
	}
	results, complete, err := engine.Unrecorded(dir)
	if want := goroutines * each / 2; err != nil || results != want || !complete {
		t.Errorf("results that are not recorded: got %d (complete %t, %v), want %d", results, complete, err, want)
	}
}

// A line that the disk has no room for lets no message leave, nor do lines behind it,
// until a new file has begun.
func TestJournalOnADiskThatTakesNoMore(t *testing.T) {
	t.Parallel()
	before, during, after, err := engine.FailJournal(t.TempDir())
	if err != nil || !before || during || !after {
		t.Errorf("messages may leave before, during and after: got %t, %t, %t (%v), want true, false, true",
			before, during, after, err)
	}
}

// A journal does not grow with what was sent.
func TestJournalStaysSmall(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	f.Enqueue("menu", 30000, "a.example", "b.example", "c.example")
	s := f.Server("n1", nil)
	s.StateDir = t.TempDir()
	var once sync.Once
	largest, mu := int64(0), sync.Mutex{}
	s.Handler = func(ctx context.Context, m queue.Message) queue.Outcome {
		if m.Seq%1000 == 0 {
			info, err := os.Stat(journalPath(t, s.StateDir))
			once.Do(func() {
				if err != nil {
					t.Error(err)
				}
			})
			mu.Lock()
			largest = max(largest, info.Size())
			mu.Unlock()
		}
		return queuetest.Deliver(ctx, m)
	}
	f.Serve(s)
	if largest < 1<<18 || largest > 3<<20 {
		t.Errorf("largest size seen: got %d octets, want some, and at most 3 MiB", largest)
	}
}

func TestServeNeedsItsStateDir(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	s := f.Server("n1", queuetest.Deliver)
	s.StateDir = filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(s.StateDir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	err := s.Serve(t.Context())
	if err == nil || !strings.Contains(err.Error(), "state folder "+s.StateDir+": ") ||
		!strings.HasSuffix(err.Error(), "; name a folder that this user may write to") {
		t.Errorf("Serve: got %v, want a line that says what to do", err)
	}
}

// A reply that is treated otherwise than its class is so after a crash too.
func TestJournalKeepsTheTreatment(t *testing.T) {
	t.Parallel()
	for _, o := range []queue.Outcome{
		{State: queue.Bounced, Class: queue.NoSuchUser, Reply: queue.Reply{Code: 550, Text: "no"}},
		{State: queue.Bounced, Class: queue.NoSuchUser, Reply: queue.Reply{Code: 550, Text: "no"},
			Treatment: queue.Treatment{Final: true, Counts: true, Suppresses: queue.OnceRepeated}},
		{State: queue.Deferred, Class: queue.Throttled, Reply: queue.Reply{Code: 451},
			Treatment: queue.Treatment{Requeues: true}},
	} {
		got, err := engine.Reread(t.TempDir(), queue.Result{Batch: 1, Seq: 2, Try: 1, Outcome: o})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(o, got.Outcome, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
			t.Errorf("outcome (-written +read):\n%s", diff)
		}
		if got.Treated() != o.Treated() {
			t.Errorf("treated: got %+v, want %+v", got.Treated(), o.Treated())
		}
	}
}
