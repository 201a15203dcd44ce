package node

import "sync"

const (
	// namedSites is how many sites have a label of their own; the rest is "other".
	namedSites = 40
	// countedSites is how many others are counted until they are large enough.
	countedSites = 1000
	// namedFrom and namedShare are what a site needs for a label: so many tries, and
	// one in so many of all.
	namedFrom  = 10
	namedShare = 200
)

// siteLabels gives the largest sites a label of their own in metrics. A site keeps
// its label, so that no count ever falls.
type siteLabels struct {
	mu     sync.Mutex
	all    int
	counts map[string]int // tries of sites without a label
	named  map[string]bool
}

// of is the label of a site at which one more try was made.
func (l *siteLabels) of(site string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all++
	switch {
	case site == "":
		return "unknown"
	case l.named[site]:
		return site
	case len(l.named) >= namedSites:
		return "other"
	}
	if l.counts == nil {
		l.counts, l.named = map[string]int{}, map[string]bool{}
	}
	if _, counted := l.counts[site]; !counted && len(l.counts) >= countedSites {
		for any := range l.counts { // one that was not large enough so far
			delete(l.counts, any)
			break
		}
	}
	l.counts[site]++
	if n := l.counts[site]; n < namedFrom || n*namedShare < l.all {
		return "other"
	}
	delete(l.counts, site)
	l.named[site] = true
	return site
}
