package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"enotify/queue"
)

// Admission says how fast messages may begin. Its methods are called from
// several goroutines and must not wait.
type Admission interface {
	// Admit reserves the right to begin up to want messages to domain, and
	// grants n of them. With n < want, w says when to ask again.
	Admit(domain string, want int, now time.Time) (n int, w queue.Wait)
	// Assign is called with the site that serves a domain, before its first message.
	Assign(domain, site string, now time.Time)
	// Closure reports whether a domain takes nothing from us, and why.
	Closure(domain string, now time.Time) queue.Closure
	// Done is called for every admitted message when its attempt has ended. It
	// returns the site that has a free place now.
	Done(domain string, o queue.Outcome, now time.Time) (site string)
}

// A Server is to the queue what an [net/http.Server] is to a listener: it takes
// the turn, hands every recipient to Handler as fast as Admission lets it, and
// records the outcomes.
type Server struct {
	DB        *queue.DB
	Node      queue.Node // Name, Egress, HELO and Version
	Handler   queue.Handler
	Admission Admission
	Memory    Memory   // of Admission; nil keeps nothing
	Schedule  Schedule // of retries

	// Check reports why no message of a batch can be composed. It is called before
	// the batch takes the turn; an error blocks the batch. Nil checks nothing.
	Check func(*queue.Batch) error

	// Survey finds the site of a recipient domain. It may wait for the network. An
	// error says that the site is not known yet, and stops nothing. With nil each
	// domain is its own site until Admission finds out.
	Survey func(ctx context.Context, domain string) (queue.Survey, error)

	// Leave is called with the groups that the node is about to give to another, which
	// may open connections to their sites soon. It may be nil, and must not wait.
	Leave func(grps []int16)

	// MessageTime is the recent mean time per accepted message on one connection,
	// for forecasts; 0, and nil, is unknown.
	MessageTime func() time.Duration

	MaxContents int           // octets of small contents that stay in memory; 0 is 64 MiB
	MaxInFlight int           // messages begun and not recorded, beside slow ones; 0 is 2000
	Grace       time.Duration // time that transactions under way have to finish when Serve ends; 0 is 30 s
	StateDir    string        // folder of the journal; nodes of one host may share it; "" is no journal
	UntilIdle   bool          // Serve ends when nothing is due
	Sole        bool          // Serve refuses to join while a node of its name is alive: ErrNamesake
	Log         *slog.Logger  // nil is slog.Default

	Alerted func(queue.Alert) // called with each alert that outcomes raised, once they are recorded; may be nil

	// Flushed is told of each transaction that recorded outcomes, and how long it
	// took; may be nil, and must not change or keep the results.
	Flushed func(results []*queue.Result, took time.Duration)

	current atomic.Pointer[serving]

	once   sync.Once
	wake   chan struct{}
	ready  chan struct{}
	vacant atomic.Bool  // another node has given groups back since the last heartbeat
	turns  atomic.Int64 // of the loop
	id     atomic.Int32
}

const (
	maxTick     = 500                    // recipients read in one round trip
	minTick     = 100                    // fewer do not begin one while more are about to be recorded, see enough
	maxLane     = 50                     // of them in one domain
	urgentShare = 8                      // a batch of higher priority has one in so many places more than MaxInFlight
	slowShare   = 2                      // times MaxInFlight: places that slow messages have of their own
	maxFlush    = 1000                   // outcomes written in one transaction
	minFlush    = 100                    // fewer wait for the write under way to return
	flushGap    = 15 * time.Millisecond  // a writer rests after fewer than minFlush, if no more come in
	beginGap    = 8 * time.Millisecond   // that a busy node rests after it began fewer than fewPicks
	fewPicks    = 250                    // see beginGap
	busyFrom    = 50                     // messages under way that make a node busy
	flushers    = 2                      // writers of outcomes
	sweep       = 30 * time.Second       // between two looks for old drafts
	poll        = time.Second            // between heartbeats without Wake
	breath      = 250 * time.Millisecond // and with Wake, while messages begin
	wakeGap     = 50 * time.Millisecond  // and with Wake, while none does

	handlerGrace = time.Second // that handlers have to return once their context has ended

	// time the database has to answer; after this, assume the write may or may not have happened
	roundTrip = 10 * time.Second
)

func (s *Server) init() {
	s.once.Do(func() {
		s.wake = make(chan struct{}, 1)
		s.ready = make(chan struct{})
	})
}

// Wake makes Serve look at the queue now instead of within a second.
func (s *Server) Wake() {
	s.init()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Heard is Wake for a notification of the database. After one that groups of recipient
// domains were given back, Serve takes its share of them now, and does not look further
// unless there is some.
func (s *Server) Heard(notification string) {
	if notification != released {
		s.Wake()
		return
	}
	s.vacant.Store(true)
	if v := s.current.Load(); v != nil {
		v.flights.tell()
	}
}

// Joined is closed when the node is registered and the guard can see its addresses.
func (s *Server) Joined() <-chan struct{} {
	s.init()
	return s.ready
}

// ID is the number of the node, once Joined is closed.
func (s *Server) ID() int32 { return s.id.Load() }

// Serve sends until ctx ends, or, with UntilIdle, until nothing is due. From then
// on no transaction begins; those under way have Grace to finish, their outcomes
// are recorded, and the leases are given back.
func (s *Server) Serve(ctx context.Context) error {
	s.init()
	log := s.Log
	if log == nil {
		log = slog.Default()
	}
	db := newStore(s.DB)
	node := node{s.Node, newIncarnation()}
	var kept *journal
	if s.StateDir != "" {
		installation, err := db.installation(ctx)
		if err != nil {
			return fmt.Errorf("read which database this is: %w", err)
		}
		if kept, err = openJournal(s.StateDir, installation, node.incarnation); err != nil {
			next := "name a folder that this user may write to"
			if errors.Is(err, syscall.ENOSPC) {
				next = "make room there, or start the node with another --state-dir"
			}
			return fmt.Errorf("no journal can be written in the state folder %s: %w; %s", s.StateDir, err, next)
		}
	}
	var err error
	var now clock
	if node.ID, now, err = db.join(ctx, node, s.Sole); err != nil || ctx.Err() != nil {
		kept.remove() // a row that was written although no answer came ends by its time
		if ctx.Err() != nil {
			return nil
		}
		return fmt.Errorf("join the nodes: %w", err)
	}
	s.id.Store(node.ID)
	close(s.ready)
	v := newServing(s, db, node, kept, log.With("node", s.Node.Name))
	v.clock.Store(&now)
	defer s.current.Store(nil)
	return v.run(ctx)
}
