package gather

import (
	"context"
	"time"

	"enotify/cmd/enotify/preflight"
	"enotify/queue"
	"enotify/queue/warmup"
)

// warming lists the addresses of the pool that are warming up. Sites are spread over the
// addresses by their weights; a plan for a single site is left out: its part is small.
func (s *Sources) warming(ctx context.Context, client string, now time.Time) ([]preflight.Warming, error) {
	pool := s.Pool
	if pool == "" {
		pool = queue.DefaultPool
		if c, err := s.DB.Client(ctx, client); err == nil {
			pool = c.Pool
		}
	}
	all, err := s.DB.Egresses(ctx)
	if err != nil {
		return nil, err
	}
	var found []preflight.Warming
	weights, warm := 0, false
	for _, e := range all {
		if e.Pool != pool || !e.Active() {
			continue
		}
		weights += e.Weight
		warms := false
		for _, w := range e.Warmups {
			plan, d := warmup.Plan(w.Caps), w.Today()
			limit, capped := plan.Cap(w.Step,
				warmup.Day{Begun: d.Begun, Accepted: d.PoolAccepted, Refused: d.Refused, Complaints: d.Complaints})
			if !capped || w.Site != "*" {
				continue
			}
			zone, err := time.LoadLocation(w.Zone)
			if err != nil {
				zone = time.UTC
			}
			_, ends := warmup.Today(zone, now)
			warms = true
			found = append(found, preflight.Warming{
				Address: e.Addr, Step: w.Step, Steps: len(plan), Share: float64(e.Weight), Left: max(0, limit-d.Begun),
				Next: plan[min(w.Step+1, len(plan)):], Ends: ends.Sub(now), Spills: w.Overflow == "pool",
			})
		}
		warm = warm || !warms
	}
	for i := range found {
		found[i].Share /= float64(weights)
		found[i].Spills = found[i].Spills && warm
	}
	return found, nil
}
