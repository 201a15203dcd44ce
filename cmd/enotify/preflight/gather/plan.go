package gather

import (
	"context"
	"slices"
	"time"

	"golang.org/x/time/rate"

	"enotify/cmd/enotify/preflight"
	"enotify/queue"
	"enotify/queue/insight"
	"enotify/sender/throttle"
)

// plan is what the forecast goes by: the limits that hold, what was learned of
// sites, and the batches that have the turn before.
func (s *Sources) plan(ctx context.Context, batch int64, notBefore, now time.Time) (preflight.Plan, error) {
	limits := &throttle.Throttle{}
	plan := preflight.Plan{Limits: limits, Own: preflight.Load{NotBefore: notBefore}, Message: s.Message}
	destinations, err := s.DB.Destinations(ctx)
	if err != nil {
		return plan, err
	}
	policies := make(map[string]throttle.Policy, len(destinations))
	for _, d := range destinations {
		policies[d.Name] = throttle.PolicyOf(d)
	}
	limits.SetPolicies(policies)
	memos, _, err := s.DB.Memos(ctx, time.Time{})
	if err != nil {
		return plan, err
	}
	limits.Restore(memos, now)
	ahead, err := insight.Of(s.DB).Ahead(ctx, batch)
	if err != nil {
		return plan, err
	}
	for _, a := range ahead {
		load := preflight.Load{NotBefore: a.NotBefore}
		for _, d := range a.Domains {
			load.Domains = append(load.Domains, preflight.Waiting{Domain: d.Domain, Site: d.Site, N: d.N})
		}
		plan.Ahead = append(plan.Ahead, load)
	}
	retries, err := insight.Of(s.DB).Retries(ctx, batch)
	if err != nil {
		return plan, err
	}
	for _, r := range retries {
		plan.Retries = append(plan.Retries, preflight.Waiting{Domain: r.Domain, Site: r.Site, N: r.N})
	}
	nodes, err := s.DB.Nodes(ctx)
	if err != nil {
		return plan, err
	}
	plan.Most = preflight.MostPerNode * rate.Limit(max(1, len(nodes)))
	plan.Overlap = len(nodes) > 0 && !slices.ContainsFunc(nodes, func(n queue.Node) bool { return n.Turn != queue.ByDestination })
	if plan.Message == 0 {
		plan.Message = measured(nodes)
		plan.Measured = plan.Message > 0
	}
	return plan, nil
}

// measured is what a message takes in one connection, by the nodes that have
// sent any; 0 when none has.
func measured(nodes []queue.Node) (mean time.Duration) {
	n := time.Duration(0)
	for _, node := range nodes {
		if node.MessageTime > 0 {
			n++
			mean += node.MessageTime
		}
	}
	return mean / max(1, n)
}
