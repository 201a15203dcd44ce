package forecast

import (
	"cmp"
	"slices"
	"time"
)

// A load is a [Load] in a simulation.
type load struct {
	Load
	parts    []*part // not sent, when the load has the turn
	later    []*part // deferred or put off, and not due yet; the earliest first
	retries  []*part // deferred or put off, and due
	begin    time.Duration
	begun    bool
	end      time.Duration
	sent     float64
	paused   string
	sites    map[string]*progress
	points   []Point
	untried  int // parts that are not sent
	holds    int // of them, those that need the turn
	deferred float64
	warming  map[*capped]*warming
	open     bool // its windows are
}

func (l *load) over() bool { return l.untried == 0 }

// A part is what a load has for one recipient domain.
type part struct {
	load  *load
	site  *site
	b     *bucket
	left  float64
	first bool
	here  *progress // of its load at its site; nil for deferred recipients
	aside bool      // it needs no turn: it was put off
	due   time.Duration
	offer float64
	why   Reason // it offers no more
	ways  []way  // by which it may leave; none: there is no limit
	way   way    // by which it leaves now
}

// A progress is how far a load is at one site.
type progress struct {
	name    string
	one     string
	domains int
	total   int
	left    float64
	sent    float64
	end     time.Duration
	held    [reasons]time.Duration
	points  []Point
}

func (s *simulation) load(l Load) *load {
	of := &load{Load: l, sites: map[string]*progress{}, begun: l.Beside, warming: map[*capped]*warming{}}
	for _, w := range l.Domains {
		if w.N == 0 {
			continue
		}
		p := s.part(of, w, true)
		if p.aside = !w.At.IsZero(); p.aside {
			of.later = append(of.later, p)
		} else {
			of.parts = append(of.parts, p)
			of.holds++
		}
		of.warm(p, w.N)
		of.untried++
		at := of.sites[w.Site]
		if at == nil {
			at = &progress{name: w.Site, one: w.Domain}
			of.sites[w.Site] = at
		}
		p.here = at
		at.domains++
		at.total += w.N
		at.left += float64(w.N)
		of.deferred += float64(w.N) * s.Deferred[w.Site]
	}
	for _, w := range l.Due {
		if w.N > 0 {
			of.later = append(of.later, s.part(of, w, false))
		}
	}
	of.sortLater()
	return of
}

func (l *load) sortLater() {
	slices.SortStableFunc(l.later, func(a, b *part) int { return cmp.Compare(a.due, b.due) })
}

func (s *simulation) part(of *load, w Waiting, first bool) *part {
	p := &part{load: of, site: s.site(w.Site), b: s.bucket(w.Domain, w.Site), left: float64(w.N), first: first,
		ways: s.ways(cmp.Or(w.Pool, of.Pool), w.Site)}
	if !w.At.IsZero() {
		p.due = max(0, w.At.Sub(s.Start))
	}
	return p
}

// within reports whether the windows of a load are open, when that changes at the
// earliest, if it is known, and what it waits for.
func (l *load) within(now time.Time) (open bool, change time.Time, why string) {
	open = true
	for _, w := range l.Windows {
		span, ok := w.Next(now)
		switch {
		case !ok:
			return false, time.Time{}, "its window"
		case span.Opens.After(now):
			open, why = false, "its window"
			if change.IsZero() || span.Opens.Before(change) {
				change = span.Opens
			}
		case change.IsZero() || span.Closes.Before(change):
			change = span.Closes
		}
	}
	return open, change, why
}
