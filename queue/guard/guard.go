package guard

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"enotify/queue"
)

const (
	poll       = time.Second           // between two looks at who must be checked
	wakeGap    = 50 * time.Millisecond // and with Wake: anybody may send NOTIFY
	recheck    = 30 * time.Second      // after a verdict that stops a batch
	checkTime  = time.Minute           // that the check of one client may take
	recordTime = 10 * time.Second      // that the database may take to record its verdicts
	slowCheck  = 2 * time.Second       // a client whose check takes longer is slow

	places    = 64 // clients checked at once; as many more for those that can wait
	recorders = 2  // connections that record verdicts; one more for clients that failed to before
)

// A Checker finds out what receivers will make of a client's mail.
type Checker interface {
	// Check returns the verdicts on a client whose envelope sender is mailFrom, or
	// an address of the same domain: one of each identity that has something to
	// say, for each egress address in order.
	Check(ctx context.Context, s queue.Subject, mailFrom string) []queue.Verdict
}

// A Guard checks the clients before their batches take the turn, while these
// are sent, and now and then when there are none.
type Guard struct {
	DB           *queue.DB
	Node         int32 // that checks, with its keys; 0: none
	Checker      Checker
	BounceDomain string            // of the return paths of clients that leave them to the operator; "" is none
	Every        time.Duration     // between two checks of a client that has nothing to send
	Log          *slog.Logger      // nil is slog.Default
	Judged       func()            // called when verdicts on a client were recorded; may be nil
	Alerted      func(queue.Alert) // called with each alert that verdicts raised; may be nil

	once   sync.Once
	wake   chan struct{}
	log    *slog.Logger
	checks sync.WaitGroup

	urgent, idle   chan struct{} // a place for each check: of clients with batches, and of others
	record, repeat chan struct{} // a place for each transaction: of clients that failed before too

	mu      sync.Mutex
	clients map[int32]*client
}

// A client is what the guard remembers of a client, so that one does not hold up others.
type client struct {
	busy     bool      // it is being checked
	slow     bool      // its last check took long
	failures int       // checks in a row that could not be recorded
	err      error     // of the last of them
	again    time.Time // not before, after a failure
}

func (g *Guard) init() {
	g.once.Do(func() {
		g.wake = make(chan struct{}, 1)
		g.urgent, g.idle = make(chan struct{}, places), make(chan struct{}, places)
		g.record, g.repeat = make(chan struct{}, recorders), make(chan struct{}, 1)
		g.clients = map[int32]*client{}
		if g.log = g.Log; g.log == nil {
			g.log = slog.Default()
		}
	})
}

// Wake makes Run look now rather than within a second.
func (g *Guard) Wake() {
	g.init()
	select {
	case g.wake <- struct{}{}:
	default:
	}
}

// Run checks the clients that need it, until ctx ends.
func (g *Guard) Run(ctx context.Context) {
	g.init()
	defer g.checks.Wait()
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for {
		began := time.Now()
		if err := g.begin(ctx); err != nil && ctx.Err() == nil {
			g.log.Warn("the guard cannot ask which clients to check; no new batch begins until it can", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(rest(time.Since(began))):
		}
		select {
		case <-ctx.Done():
			return
		case <-g.wake:
		case <-tick.C:
		}
	}
}

// rest is the time until the next look, with Wake or without: where it takes long to find out
// who must be checked, it takes a quarter of a processor at most.
func rest(took time.Duration) time.Duration { return max(wakeGap, min(3*took, poll)) }

// Look checks the clients that need it, once, and returns when it has. The
// error is of every client that no verdict could be recorded on.
func (g *Guard) Look(ctx context.Context) error {
	g.init()
	err := g.begin(ctx)
	g.checks.Wait()
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, c := range g.clients {
		err = errors.Join(err, c.err)
	}
	return err
}

// begin begins the checks that are due. A client that waits for a place, or for
// the DNS, holds up no other.
func (g *Guard) begin(ctx context.Context) error {
	due, unseen, err := Due(ctx, g.DB, g.Node, g.Every)
	if err != nil {
		return err
	}
	for i, s := range append(due, unseen...) {
		c, free := g.take(s.ClientID)
		if !free {
			continue
		}
		places := g.urgent
		if c.slow || i >= len(due) { // c is ours now
			places = g.idle
		}
		g.checks.Go(func() { g.check(ctx, s, c, places) })
	}
	return nil
}

// take marks a client as being checked, unless it is, or has just failed.
func (g *Guard) take(id int32) (c *client, free bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if c = g.clients[id]; c == nil {
		c = &client{}
		g.clients[id] = c
	}
	if c.busy || time.Now().Before(c.again) {
		return c, false
	}
	c.busy = true
	return c, true
}

// check has one client judged.
func (g *Guard) check(ctx context.Context, s queue.Subject, c *client, places chan struct{}) {
	var verdicts []queue.Verdict
	start := time.Now()
	in(ctx, places, slowCheck, func() {
		start = time.Now()
		checking, cancel := context.WithTimeout(ctx, checkTime)
		defer cancel()
		verdicts = g.verdicts(checking, s)
	})
	slow := time.Since(start) > slowCheck
	places = g.record
	if c.failures > 0 {
		places = g.repeat
	}
	var err error
	in(ctx, places, recordTime, func() { err = g.judge(ctx, s, verdicts) })
	g.mu.Lock()
	defer g.mu.Unlock()
	c.busy, c.slow = false, slow
	if c.err = err; err == nil || ctx.Err() != nil {
		c.failures = 0
		return
	}
	wait := min(time.Second<<min(c.failures, 10), recheck)
	c.failures++
	c.again = time.Now().Add(wait)
	g.log.Warn("no verdict could be recorded; the batches of the client wait",
		"client", s.Client, "error", err, "failures", c.failures, "again_in", wait)
}

// in calls f once there is a place. The place is given up after a while though f
// has not returned, so that a few that take long do not keep out all others.
// When ctx ends before or meanwhile, what f did says nothing.
func in(ctx context.Context, places chan struct{}, while time.Duration, f func()) {
	select {
	case places <- struct{}{}:
		leave := sync.OnceFunc(func() { <-places })
		defer leave()
		defer time.AfterFunc(while, leave).Stop()
		f()
	case <-ctx.Done():
	}
}

// judge has the queue record the verdicts on a client, and tells what followed
// from them. When it cannot, the client's batches say so.
func (g *Guard) judge(ctx context.Context, s queue.Subject, verdicts []queue.Verdict) error {
	ctx, cancel := context.WithTimeout(ctx, recordTime)
	defer cancel()
	found, err := g.DB.Judge(ctx, s, verdicts)
	if err != nil {
		if noted := g.DB.NoteUnjudged(ctx, s); noted != nil {
			g.log.Debug("the batches of a client could not be told why they wait", "client", s.Client, "error", noted)
		}
		return fmt.Errorf("client %s: %w", s.Client, err)
	}
	g.tell(s, found)
	if g.Judged != nil {
		g.Judged()
	}
	return nil
}

// verdicts are the checker's verdicts. While one of them stops the client's mail,
// the client is checked again soon, so that a cure is seen.
func (g *Guard) verdicts(ctx context.Context, s queue.Subject) []queue.Verdict {
	all := g.Checker.Check(ctx, s, s.MailFrom(g.BounceDomain))
	stopped := slices.ContainsFunc(all, func(v queue.Verdict) bool { return v.Blocks || v.Temporary() })
	for i := range all {
		if v := &all[i]; stopped {
			v.ValidFor = min(v.ValidFor, recheck)
		}
	}
	return all
}

// tell logs what followed from verdicts.
func (g *Guard) tell(s queue.Subject, found queue.Judgement) {
	for _, d := range found.Drifts {
		what := "a client's SPF has changed"
		switch d.Identity {
		case "dmarc":
			what = "a client's DMARC verdict has changed"
		case "dkim":
			what = "the keys that sign a client's mail have changed"
		}
		g.log.Warn(what, "client", s.Client, "domain", d.Domain, "egress", d.Egress,
			"was", d.WasResult, "since", d.WasSince, "is", d.Result, "was_record", d.WasRecord, "record", d.Record,
			"next", "enotify client show "+s.Client)
	}
	for _, id := range found.Blocked {
		g.log.Info("batch blocked: the guard does not let it leave", "batch", id, "client", s.Client)
	}
	for _, alert := range found.Alerts {
		if g.Alerted != nil {
			g.Alerted(alert)
		}
	}
	for _, v := range found.Barred {
		g.log.Warn("a node's address may not send for a client; other nodes send what is under way, and nothing new begins",
			"client", s.Client, "egress", v.Egress, "result", v.Result, "fix", v.Fix,
			"next", "enotify spf check "+s.Client+" --ip "+v.Egress.String())
	}
	for _, id := range found.Freed {
		g.log.Info("batch freed: the guard lets it leave", "batch", id, "client", s.Client)
	}
}
