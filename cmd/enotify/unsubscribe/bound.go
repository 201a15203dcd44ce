package unsubscribe

import (
	"sync"

	"golang.org/x/time/rate"

	"enotify/sender/token"
)

// One link is opened again and again by its reader, and by programs that scan mail. One
// that is opened more often has no share in what all readers may ask for.
const (
	ofOneRate  = 1 // a second
	ofOneBurst = 20
	remembered = 10_000 // recipients, at least
)

// A bound bounds the lookups of all readers, and of each of them. Its zero value is not
// useful; see [newBound].
type bound struct {
	all *rate.Limiter

	mu       sync.Mutex
	now, old map[token.Subject]*rate.Limiter // of those that came last, and of those before them
}

func newBound() *bound {
	return &bound{all: rate.NewLimiter(lookupRate, lookupBurst), now: map[token.Subject]*rate.Limiter{}}
}

// allow reports whether a lookup of this recipient may be made now.
func (b *bound) allow(s token.Subject) bool {
	return b.of(s).Allow() && b.all.Allow()
}

func (b *bound) of(s token.Subject) *rate.Limiter {
	b.mu.Lock()
	defer b.mu.Unlock()
	l := b.now[s]
	if l != nil {
		return l
	}
	if l = b.old[s]; l == nil {
		l = rate.NewLimiter(ofOneRate, ofOneBurst)
	}
	if len(b.now) >= remembered {
		b.old, b.now = b.now, map[token.Subject]*rate.Limiter{}
	}
	b.now[s] = l
	return l
}
