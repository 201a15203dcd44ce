package throttle

import (
	"maps"
	"slices"

	"enotify/queue"

	"golang.org/x/time/rate"
)

// A Policy is what an operator allows at a recipient domain or at a site. A
// field that is zero says nothing, and the next in line decides: the figures
// for well-known sites, the policy of [Everyone], [Default].
type Policy struct {
	// messages a second: to a recipient domain; or to all domains of a site together; rate.Inf is no limit
	Rate          rate.Limit
	Burst         int // messages that may begin at once after a quiet time
	Connections   int // at once: to a site; or, for a domain that shares a site, messages of its own under way
	PerConnection int // messages that one connection carries before it is closed
}

// A name may be both: example.org is a recipient domain, and also the site of
// all domains whose mail mx.example.org takes. Its policy holds for both, so
// that the domain gets no more than what all of them together get.

// Everyone is the name under which SetPolicies takes the policy of all domains
// that have none of their own. Its rate holds for each recipient domain: a
// site has one only if it is set for the site.
const Everyone = "*"

// Default is the policy of a destination that nobody configured: what KumoMTA's
// shaping.toml allows one. The burst is ours, and low: a bucket of a second's
// worth would let twice the rate through in its first second.
var Default = Policy{Rate: 100, Burst: 20, Connections: 10, PerConnection: 100}

// known are the limits of big sites, from their postmaster pages and the
// shaping rules that KumoMTA and Postmastery publish. The names are those that
// package sender gives to sites.
var known = map[string]Policy{
	"google":      {Connections: 5, PerConnection: 50},
	"yahoo":       {Connections: 10, PerConnection: 20},
	"outlook":     {Connections: 5, PerConnection: 50},
	"office365":   {Connections: 5, PerConnection: 50},
	"apple":       {Connections: 10, PerConnection: 5},
	"comcast":     {Connections: 25, PerConnection: 1000},
	"mimecast":    {Connections: 10, PerConnection: 100},
	"orange":      {Connections: 2, PerConnection: 100},
	"gmx":         {Connections: 4, PerConnection: 20},
	"yahoo.co.jp": {Connections: 2, PerConnection: 20},
	"qq":          {Connections: 4, PerConnection: 8},
}

// Known is the part of a site's policy that is built in; the zero Policy when
// there is none.
func Known(site string) Policy { return known[site] }

// Sites names the sites whose limits are built in.
func Sites() []string { return slices.Sorted(maps.Keys(known)) }

// over is p, with the fields that p leaves open taken from base.
func (p Policy) over(base Policy) Policy {
	if p.Rate == 0 {
		p.Rate = base.Rate
	}
	if p.Burst == 0 {
		p.Burst = base.Burst
	}
	if p.Connections == 0 {
		p.Connections = base.Connections
	}
	if p.PerConnection == 0 {
		p.PerConnection = base.PerConnection
	}
	return p
}

// Policy is what holds for a recipient domain, by the last SetPolicies.
func (t *Throttle) Policy(name string) Policy {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.policy(name)
}

// SitePolicy is what holds for a site, by the last SetPolicies.
func (t *Throttle) SitePolicy(name string) Policy {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.sitePolicy(name)
}

func (t *Throttle) sitePolicy(name string) Policy {
	own := t.policies[name].over(known[name])
	p := t.policy(name)
	if p.Rate = own.Rate; p.Rate == 0 {
		p.Rate = rate.Inf
	}
	return p
}

func (t *Throttle) policy(name string) Policy {
	return t.policies[name].over(known[name]).over(t.policies[Everyone]).over(Default)
}

// SetPolicies replaces all policies, by domain, site or Everyone. They hold at
// once, for what is known already too.
func (t *Throttle) SetPolicies(policies map[string]Policy) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.policies = maps.Clone(policies)
	t.edition++
}

// PolicyOf is a destination as operators set it.
func PolicyOf(d queue.Destination) Policy {
	p := Policy{Burst: d.Burst, Connections: d.Connections, PerConnection: d.PerConnection}
	switch {
	case d.Rate == nil:
	case d.Rate.Messages == 0:
		p.Rate = rate.Inf
	default:
		p.Rate = rate.Limit(float64(d.Rate.Messages) / d.Rate.Per.Seconds())
	}
	return p
}
