package submit

import (
	"context"
	"errors"
	"io"
	"os"
	"sync"
	"time"
)

// A large body that comes fast gets a head start: its transaction begins while the rest
// still comes in, so that rows are checked and stored at once, on two processors. It
// keeps what holds for every body:
//
//   - One that turns out to be faulty leaves nothing: the transaction commits only after
//     the last row was read and checked.
//   - A slow client holds no transaction: it is rolled back when it has waited for rows
//     too long, and begins again when the body is there.
//   - Nobody waits for it: it takes a turn only where one is free.
const (
	promptly  = 500 * time.Millisecond // within this the first part of the body must come
	mayStarve = 500 * time.Millisecond // so long in all the transaction waits for rows
	penalty   = time.Minute            // so long a token gets no other head start after one that starved
)

// A deed is a transaction that takes rows, of [queue.AppendRow], to their end.
type deed func(ctx context.Context, rows io.Reader) error

// A headStart is a transaction under way.
type headStart struct {
	rows   *tail
	cancel context.CancelFunc
	done   chan struct{}
	err    error // of the transaction, once done is closed
}

// begin begins a transaction, which takes the rows of s as they come. It returns nil where
// there is no turn for it.
func (d *Door) begin(ctx context.Context, g *guest, do deed, s *spool) *headStart {
	if time.Now().UnixNano() < g.barred.Load() {
		return nil
	}
	select {
	case g.turn <- struct{}{}:
	default:
		return nil
	}
	select {
	case d.turns <- struct{}{}:
	default:
		<-g.turn
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, transactionTime)
	h := &headStart{rows: s.follow(), cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(h.done)
		defer func() { <-d.turns; <-g.turn }()
		defer cancel()
		h.err = do(ctx, h.rows)
		if h.rows.leave() {
			g.barred.Store(time.Now().Add(penalty).UnixNano())
		}
	}()
	return h
}

// finish lets the transaction end, once all rows are kept. Without ok it ended too early,
// has left nothing, and is to be done again.
func (h *headStart) finish() (ok bool, err error) {
	ok = h.rows.complete()
	<-h.done
	return ok, h.err
}

// abandon rolls the transaction back.
func (h *headStart) abandon() {
	h.rows.leave()
	select {
	case <-h.done:
	case <-time.After(2 * time.Second): // a server that does not answer
		h.cancel()
		<-h.done
	}
}

// A tail reads the file of a spool while it grows.
type tail struct {
	file *os.File
	more chan struct{} // something has changed
	left time.Duration // so long Read may still wait

	mu      sync.Mutex
	size    int64 // of what is in the file
	read    int64
	whole   bool // the file grows no more
	over    bool // nobody reads any more
	starved bool
}

// errTooEarly ends a transaction that does not get all rows.
var errTooEarly = errors.New("the rows do not come to an end")

func (t *tail) Read(p []byte) (int, error) {
	for {
		switch n, end, over := t.ready(); {
		case over:
			return 0, errTooEarly
		case n > 0:
			n, err := t.file.ReadAt(p[:min(int64(len(p)), n)], t.read)
			t.read += int64(n)
			return n, err
		case end:
			return 0, io.EOF
		}
		if !t.wait() {
			return 0, errTooEarly
		}
	}
}

// ready is how many octets can be read, and whether there will be no more.
func (t *tail) ready() (n int64, end, over bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.size - t.read, t.whole, t.over
}

// wait waits until something has changed.
func (t *tail) wait() bool {
	began := time.Now()
	timer := time.NewTimer(t.left)
	defer timer.Stop()
	select {
	case <-t.more:
		t.left -= time.Since(began)
		return true
	case <-timer.C:
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.whole {
		return true
	}
	t.over, t.starved = true, true
	return false
}

// change tells Read of a change.
func (t *tail) change(f func()) {
	t.mu.Lock()
	f()
	t.mu.Unlock()
	select {
	case t.more <- struct{}{}:
	default:
	}
}

// grew says that n more octets are in the file.
func (t *tail) grew(n int) { t.change(func() { t.size += int64(n) }) }

// complete says that the file has all rows, and reports whether they are still wanted.
func (t *tail) complete() (wanted bool) {
	t.change(func() {
		t.whole = !t.over
		wanted = t.whole
	})
	return wanted
}

// leave ends the reading, and reports whether it waited too long.
func (t *tail) leave() (starved bool) {
	t.change(func() { t.over, starved = true, t.starved })
	return starved
}
