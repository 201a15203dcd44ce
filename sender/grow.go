package sender

import "time"

// growthCost says how much a further connection of a site has to bring. Where this many are
// open in all, it has to save the time of opening it; where twice as many are, twice
// that time; and so on: then the node itself is more and more what takes time.
const growthCost = 50

// suffices reports whether the connections of a site carry what there is for it about as
// soon as with one more.
func (p *pool) suffices(s *siteConns, now time.Time) bool {
	if s.takes == 0 {
		return false
	}
	worth := s.opening * time.Duration(1+p.places.taken/growthCost)
	return p.throttle.Suffices(s.name, len(s.waiters), int(worth/s.takes), now)
}

// lookAtGrowth has serve called again for a site in a while, in which it may have ceased
// to answer.
func (p *pool) lookAtGrowth(s *siteConns) {
	if s.looks {
		return
	}
	s.looks = true
	time.AfterFunc(slowAfter, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if s.looks = false; len(s.waiters) > 0 {
			p.serve(s)
		}
	})
}

// lately is the mean of what something took, the last time counting for a quarter.
func lately(mean, last time.Duration) time.Duration {
	if mean == 0 {
		return last
	}
	return mean + (last-mean)/4
}
