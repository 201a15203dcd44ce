package node

import (
	"context"
	"log/slog"
	"time"

	"enotify/cmd/enotify/keyring"
	"enotify/queue"
	"enotify/sender"
	"enotify/sender/throttle"
)

// hear passes the notifications of the database on until ctx ends. They are
// a courtesy: everybody also looks each second.
func hear(ctx context.Context, db *queue.DB, log *slog.Logger, heard func(string), wake ...func()) error {
	for ctx.Err() == nil {
		err := db.Listen(ctx, func(notification string) {
			heard(notification)
			for _, w := range wake {
				w()
			}
		})
		if ctx.Err() != nil {
			return nil
		}
		log.Debug("not listening to the database; trying again", "error", err)
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
	return nil
}

// wakeGap is the shortest time between two calls of each: anybody may send NOTIFY.
const wakeGap = 50 * time.Millisecond

// each calls f now, when wake says so, and every second, until ctx ends.
func each(ctx context.Context, wake <-chan struct{}, f func()) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		f()
		select {
		case <-ctx.Done():
			return
		case <-time.After(wakeGap):
		}
		select {
		case <-ctx.Done():
			return
		case <-wake:
		case <-tick.C:
		}
	}
}

// every calls f each d, until ctx ends.
func every(ctx context.Context, d time.Duration, f func()) {
	tick := time.NewTicker(d)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		f()
	}
}

// policies keeps throttle and sender at what the operator has set, and at the
// keys that sign.
type policies struct {
	db       *queue.DB
	keys     *keyring.Keyring
	mail     *sender.Sender
	throttle *throttle.Throttle
	log      *slog.Logger
	wake     chan struct{}

	mark   int64 // of what was read last, see queue.DB.PoliciesMark
	unread bool  // or a part of it could not be read
}

func (p *policies) Wake() { nudge(p.wake) }

func nudge(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (p *policies) run(ctx context.Context) {
	p.unread = true
	each(ctx, p.wake, func() {
		mark, err := p.db.PoliciesMark(ctx)
		if err == nil && mark == p.mark && !p.unread {
			return
		}
		p.mark, p.unread = mark, err != nil
		if err := p.load(ctx); err != nil {
			p.unread = true
			if ctx.Err() == nil {
				p.log.Warn("limits could not be read; the last ones hold", "error", err)
			}
		}
		if keys, err := p.keys.Load(ctx); err == nil {
			p.mail.SetKeys(keys)
		} else {
			p.unread = true
			if ctx.Err() == nil {
				p.log.Warn("keys could not be read; the last ones hold", "error", err)
			}
		}
	})
}

func (p *policies) load(ctx context.Context) error {
	destinations, err := p.db.Destinations(ctx)
	if err != nil {
		return err
	}
	limits := make(map[string]throttle.Policy, len(destinations))
	encryption := make(map[string]sender.TLSPolicy)
	for _, d := range destinations {
		limits[d.Name] = throttle.PolicyOf(d)
		if policy, err := sender.ParseTLSPolicy(d.TLS); err == nil { // else it says nothing
			encryption[d.Name] = policy
		}
	}
	p.mail.SetTLS(encryption)
	p.throttle.SetPolicies(limits)
	return nil
}
