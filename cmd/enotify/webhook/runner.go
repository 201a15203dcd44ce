package webhook

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"enotify/queue"
	"enotify/queue/events"
)

// A Runner numbers events and pushes them, as part of a node. Its zero values have
// defaults.
type Runner struct {
	DB   *queue.DB
	Name string // of the node, for people

	Allow    []netip.Prefix // networks that are allowed although they are not public
	Resolver string         // DNS server, HOST:PORT; "" is the system's
	Roots    *x509.CertPool // nil: the system's

	Timeout  time.Duration // of a try; default: 10 s
	Patience time.Duration // a webhook that has failed for so long is disabled; default: 5 days
	Places   int           // messages at once; slow receivers get half of them, one client's a quarter; default: 64
	Wait     func(failures int) time.Duration

	Log     *slog.Logger
	Alerted func(queue.Alert)

	store         events.Store
	secure, plain *http.Client
	once          sync.Once
	wake          chan struct{}
	places        chan struct{}
	slow          atomic.Int64 // messages under way to slow receivers
	working       sync.WaitGroup
}

func (r *Runner) prepare() {
	r.once.Do(func() {
		r.Timeout, r.Patience, r.Places = cmp.Or(r.Timeout, 10*time.Second), cmp.Or(r.Patience, 5*24*time.Hour),
			cmp.Or(r.Places, 64)
		if r.Wait == nil {
			r.Wait = func(failures int) time.Duration { return Backoff(failures, rand.Float64()) }
		}
		if r.Log == nil {
			r.Log = slog.New(slog.DiscardHandler)
		}
		r.store = events.Of(r.DB)
		r.secure, r.plain = r.client(true), r.client(false)
		r.wake, r.places = make(chan struct{}, 1), make(chan struct{}, r.Places)
	})
}

// Wake has the runner look for new events at once.
func (r *Runner) Wake() {
	r.prepare()
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

const (
	every     = time.Second            // between looks for new events
	moving    = 500 * time.Millisecond // and while there are some
	dropEvery = time.Minute            // between looks for old ones
)

// Run works until ctx ends. Messages under way then may finish.
func (r *Runner) Run(ctx context.Context) {
	r.prepare()
	defer r.working.Wait()
	dropped := time.Now()
	for {
		wait := every
		news, err := r.store.News(ctx)
		if news {
			wait = moving
			_, err = r.look(ctx)
		}
		if err != nil && ctx.Err() == nil {
			r.Log.Warn("events could not be pushed; trying again", "error", err)
		}
		if time.Since(dropped) >= dropEvery {
			dropped = time.Now()
			r.drop(ctx)
		}
		select {
		case <-ctx.Done():
			return
		case <-r.wake:
		case <-time.After(wait):
		}
	}
}

// Drain pushes what is due, until nothing is or ctx ends: for a node that ends when
// it has sent all.
func (r *Runner) Drain(ctx context.Context) {
	r.prepare()
	for ctx.Err() == nil {
		claimed, err := r.look(ctx)
		if err != nil {
			r.Log.Warn("events could not be pushed; the next run of a node pushes them", "error", err)
			break
		}
		r.working.Wait()
		if claimed == 0 {
			break
		}
	}
	r.working.Wait()
}

// drop drops events that are older than they are kept, some at a time.
func (r *Runner) drop(ctx context.Context) {
	for range 20 {
		if some, err := r.store.Drop(ctx); err != nil || !some {
			return
		}
	}
}

// look numbers new events, and begins to push to as many webhooks as there are places.
func (r *Runner) look(ctx context.Context) (claimed int, err error) {
	for some := true; some; {
		if some, err = r.store.Number(ctx); err != nil {
			return 0, err
		}
	}
	free := cap(r.places) - len(r.places)
	if free == 0 {
		return 0, nil
	}
	// A claim outlasts a try, and what is written after it.
	claims, err := r.store.Claim(ctx, r.Name, 3*r.Timeout, free, min(free, max(1, cap(r.places)/2)-int(r.slow.Load())),
		max(1, cap(r.places)/4))
	for _, c := range claims {
		r.places <- struct{}{}
		if c.Slow {
			r.slow.Add(1)
		}
		r.working.Go(func() {
			defer r.Wake()
			defer func() {
				if c.Slow {
					r.slow.Add(-1)
				}
				<-r.places
			}()
			if err := r.push(context.WithoutCancel(ctx), c); err != nil {
				r.Log.Warn("a webhook's progress could not be recorded; its claim ends by itself", "webhook", c.ID,
					"error", err)
			}
		})
	}
	return len(claims), err
}

// push sends one message to a webhook, and records how that went.
func (r *Runner) push(ctx context.Context, c events.Claim) error {
	ctx, cancel := context.WithTimeout(ctx, 2*r.Timeout)
	defer cancel()
	next, upto, err := r.store.Claimed(ctx, c, maxEvents)
	if err != nil || len(next) == 0 {
		return err
	}
	m, err := compose(c, next, upto)
	if err != nil {
		return err
	}
	start := time.Now()
	err = r.post(ctx, c, m)
	slow := time.Since(start) > r.Timeout/5
	if err == nil {
		return r.store.Acknowledge(ctx, c, m.upto, m.n, slow)
	}
	f := events.Failure{Upto: m.upto, Why: err.Error(), Wait: r.Wait(c.Failures + 1), Patience: r.Patience,
		Slow: slow}
	if no := (*refusal)(nil); errors.As(err, &no) {
		f.Gone, f.Wait = no.status == http.StatusGone, max(f.Wait, no.after)
	}
	r.Log.Info("a webhook failed", "webhook", c.ID, "failures", c.Failures+1, "error", f.Why, "next_in", f.Wait)
	alert, err := r.store.Fail(ctx, c, f)
	if alert != nil && r.Alerted != nil {
		r.Alerted(*alert)
	}
	return err
}
