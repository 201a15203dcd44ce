package forecast

import (
	"math"
	"time"
)

func midnight(t time.Time, zone *time.Location) time.Time {
	y, m, d := t.In(zone).Date()
	return time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
}

// A quota is a [Quota] in a simulation, which uses it up.
type quota struct {
	Quota
	day, month time.Time // that today and month are of
	today, sum float64
}

func newQuota(q Quota, start time.Time) *quota {
	if q.Zone == nil {
		q.Zone = time.UTC
	}
	of := &quota{Quota: q, today: float64(q.Today), sum: float64(q.Month)}
	of.day = midnight(start, q.Zone)
	of.month = of.day.AddDate(0, 0, 1-of.day.Day())
	return of
}

// left is how many messages may be sent now, and when there are more.
func (q *quota) left(now time.Time) (n float64, resumes time.Time) {
	day := midnight(now, q.Zone)
	if !day.Equal(q.day) {
		q.day, q.today = day, 0
	}
	if month := day.AddDate(0, 0, 1-day.Day()); !month.Equal(q.month) {
		q.month, q.sum = month, 0
	}
	n = math.Inf(1)
	next := q.day.AddDate(0, 0, 1)
	if q.PerDay > 0 {
		n = float64(q.PerDay) - q.today
	}
	if q.PerMonth > 0 && float64(q.PerMonth)-q.sum < n {
		n = float64(q.PerMonth) - q.sum
		if n < 1 {
			next = q.month.AddDate(0, 1, 0)
		}
	}
	return max(0, n), time.Date(next.Year(), next.Month(), next.Day(), 0, 0, 0, 0, q.Zone)
}

func (q *quota) take(n float64) { q.today, q.sum = q.today+n, q.sum+n }

// quotaAside counts what a step sends of loads that do not have the turn.
func (s *simulation) quotaAside() {
	if len(s.quotas) == 0 {
		return
	}
	for _, of := range s.active {
		for _, p := range of.parts {
			if q := s.quotas[p.load.Client]; q != nil && p.first && p.aside {
				left, _ := q.left(s.Start.Add(s.at))
				p.offer = min(p.offer, left)
				q.take(p.offer)
			}
		}
	}
}
