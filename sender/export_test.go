package sender

import (
	"context"
	"net/netip"
	"time"
)

// MemoryUsed is what messages under way take beside what they share, in octets.
func (s *Sender) MemoryUsed() int { return s.memory.Used() }

// ContentsInUse is what the contents of batches take whose messages are being written.
func (s *Sender) ContentsInUse() int { return s.letters.InUse() }

// LoginTLS is the policy for a connection to the smarthost.
func (s *Sender) LoginTLS(policy TLSPolicy, host string) TLSPolicy { return s.loginTLS(policy, host) }

// Addresses are those of a host that are tried, in order.
func (s *Sender) Addresses(ctx context.Context, host string) ([]netip.Addr, error) {
	return s.addresses(ctx, host)
}

// HaltWaits is how long a smarthost that refuses us n times in a row is left alone
// each time.
func HaltWaits(n int) (waits []time.Duration) {
	var h halt
	now := time.Unix(0, 0)
	for range n {
		until, _ := h.again(now)
		waits = append(waits, until.Sub(now))
		now = until
	}
	return waits
}

// Places are the places of a pool, without its connections.
type Places struct {
	ps      places
	now     time.Time
	opening []context.Context
	last    *place
}

// Messages that wait for a place.
const (
	Urgent   = urgent
	Ordinary = ordinary
	Newcomer = newcomer
	Laggard  = laggard
)

func NewPlaces(limit int) *Places {
	return &Places{ps: places{limit: limit, most: slowShare * limit, changed: func(int) {}}, now: time.Unix(0, 0)}
}

// Fill opens connections for messages of a class until there is no room, at most so
// many, and returns how many there were.
func (p *Places) Fill(by class, most int) (n int) {
	for ; n < most && p.ps.room(by); n++ {
		ctx, pl := p.ps.take(context.Background(), by, p.now)
		p.opening, p.last = append(p.opening, ctx), pl
	}
	return n
}

// Pass lets time pass.
func (p *Places) Pass(d time.Duration) {
	p.now = p.now.Add(d)
	p.ps.ripen(p.now)
}

// Carry ends the first message of the connection that was opened last, after a while.
func (p *Places) Carry(after time.Duration) {
	p.now = p.now.Add(after)
	p.ps.opened(p.last, p.now)
	p.ps.carried(p.last, p.now)
	p.ps.rest(p.last)
	p.ps.free(p.last)
}

// MadeWay is how many connections that were being opened have been given up for others.
func (p *Places) MadeWay() (n int) {
	for _, ctx := range p.opening {
		if ctx.Err() != nil {
			n++
		}
	}
	return n
}
