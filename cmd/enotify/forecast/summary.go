package forecast

import (
	"cmp"
	"slices"
	"strings"
)

func (s *simulation) forecast(l *load) Forecast {
	f := Forecast{Begin: l.begin, End: l.end, Late: !l.over(), Paused: l.paused, Deferred: int(l.deferred + 0.5),
		Warming: s.warming(l), Points: thin(l.points)}
	for _, at := range l.sites {
		f.Untried += at.total
	}
	if f.Late {
		f.End = s.at
	}
	f.Done = f.End
	if f.Deferred > 0 {
		f.Done += cmp.Or(s.Again, firstAgain)
	}
	if len(l.points) == 0 {
		f.Points = []Point{{l.begin, 0}}
	}
	for _, at := range l.sites {
		one := at.one
		if at.domains > 1 {
			one = ""
		}
		f.Sites = append(f.Sites, SiteForecast{Name: at.name, One: one, N: at.total, End: at.end, Held: at.mostly(),
			Points: thin(at.points)})
	}
	slices.SortStableFunc(f.Sites, func(a, b SiteForecast) int {
		return cmp.Or(cmp.Compare(b.End, a.End), cmp.Compare(b.N, a.N), strings.Compare(a.Name, b.Name))
	})
	return f
}

// mostly is what held the site back for the longest time.
func (p *progress) mostly() (why Reason) {
	for r, d := range p.held {
		if d > p.held[why] {
			why = Reason(r)
		}
	}
	return why
}

// pointsKept are enough for a smooth curve.
const pointsKept = 60

// thin leaves out points that a drawing does not miss.
func thin(points []Point) []Point {
	if len(points) <= pointsKept {
		return points
	}
	first, last := points[0], points[len(points)-1]
	kept := []Point{first}
	for _, p := range points {
		if p.At >= kept[len(kept)-1].At+(last.At-first.At)/pointsKept {
			kept = append(kept, p)
		}
	}
	if kept[len(kept)-1] != last {
		kept = append(kept, last)
	}
	return kept
}
