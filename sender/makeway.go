package sender

import (
	"cmp"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// errMadeWay stands for a message that was cut off before its end had left.
var errMadeWay = errors.New("the receiver was slow to take a large message, and others needed the memory")

// A writing is a message under way that needs the content of its batch in memory.
type writing struct {
	c      *conn
	batch  int64
	client string
	since  time.Time
	ends   atomic.Bool // its last block leaves, or it was cut off
}

// writings are the large messages under way. A host that takes one slowly may keep its content in
// memory for minutes: when another message finds no room, one that has had its own for
// long makes way.
type writings struct {
	mu  sync.Mutex
	all map[*writing]struct{}
}

func (ws *writings) add(w *writing) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if ws.all == nil {
		ws.all = map[*writing]struct{}{}
	}
	ws.all[w] = struct{}{}
}

func (ws *writings) remove(w *writing) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	delete(ws.all, w)
}

// makeWay cuts off the messages of one batch that have been under way for so long: those of the
// one that has been for longest. They are the client's own where it has some.
func (ws *writings) makeWay(client string, after time.Duration, now time.Time) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	own := false
	for w := range ws.all {
		own = own || w.client == client && !w.ends.Load()
	}
	var longest *writing
	for w := range ws.all {
		if (w.client == client || !own) && now.Sub(w.since) >= after && !w.ends.Load() &&
			(longest == nil || w.since.Before(longest.since)) {
			longest = w
		}
	}
	if longest == nil {
		return
	}
	for w := range ws.all {
		if w.batch == longest.batch && now.Sub(w.since) >= after {
			w.cut()
		}
	}
}

// end reports whether the last block of the message may leave. It is cut off no more then.
func (w *writing) end() bool { return w.ends.CompareAndSwap(false, true) }

// cut closes the connection, unless the end of the message has left, or that of one before it
// whose reply is still to come: those may have been taken.
func (w *writing) cut() {
	w.c.mu.Lock()
	defer w.c.mu.Unlock()
	if w.c.out == 1 && w.end() {
		w.c.madeWay.Store(true)
		w.c.raw.Close()
	}
}

func (s *Sender) makeWayAfter() time.Duration { return cmp.Or(s.MakeWayAfter, 30*time.Second) }
