package console

import (
	"net/http"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"enotify/cmd/enotify/listen"
)

// streams counts the pages that are open, so that one person leaves some to the others.
type streams struct {
	mu  sync.Mutex
	all int
	of  map[string]int // by person
}

func (s *streams) take(person string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all >= maxStreams || s.of[person] >= maxStreamsOfOne {
		return false
	}
	if s.of == nil {
		s.of = map[string]int{}
	}
	s.all++
	s.of[person]++
	return true
}

func (s *streams) giveBack(person string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all--
	if s.of[person]--; s.of[person] == 0 {
		delete(s.of, person)
	}
}

// guesses bound how many wrong tokens an address may show. Who comes from another address
// is not kept out.
type guesses struct {
	mu sync.Mutex
	of map[netip.Prefix]*rate.Limiter
}

const (
	guessEvery   = 2 * time.Second // of an address, on average
	guessesFirst = 10              // and at once
	maxGuessers  = 10_000          // addresses that are remembered
)

// mayTry reports whether a token from the address of a request is looked at.
func (g *guesses) mayTry(r *http.Request) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	limit := g.of[listen.Network(r.RemoteAddr)]
	return limit == nil || limit.Tokens() >= 1
}

// wrong counts a wrong token.
func (g *guesses) wrong(r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	from := listen.Network(r.RemoteAddr)
	if g.of == nil || len(g.of) >= maxGuessers { // to forget them lets each guess ten times again
		g.of = map[netip.Prefix]*rate.Limiter{}
	}
	if g.of[from] == nil {
		g.of[from] = rate.NewLimiter(rate.Every(guessEvery), guessesFirst)
	}
	g.of[from].Allow()
}
