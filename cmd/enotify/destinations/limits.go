package destinations

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/time/rate"

	"enotify/cmd/enotify/exit"
	"enotify/cmd/enotify/figures"
	"enotify/queue"
	"enotify/queue/insight"
	"enotify/sender/throttle"
)

// A limit is one figure of a policy, and where it comes from.
type limit struct {
	Of    string `json:"of"` // the domain or site
	What  string `json:"limit"`
	Value string `json:"value"`
	From  string `json:"from"`
}

// limits is what was set, and a throttle that has taken it as a node would.
type limits struct {
	rows map[string]queue.Destination
	node throttle.Throttle
}

func readLimits(ctx context.Context, db *queue.DB) (*limits, error) {
	set, err := db.Destinations(ctx)
	if err != nil {
		return nil, err
	}
	l := &limits{rows: map[string]queue.Destination{}}
	policies := map[string]throttle.Policy{}
	for _, d := range set {
		l.rows[d.Name], policies[d.Name] = d, throttle.PolicyOf(d)
	}
	l.node.SetPolicies(policies)
	return l, nil
}

// isSite reports whether a name can be nothing but a site: domains have a dot.
func isSite(name string) bool { return name != throttle.Everyone && !strings.Contains(name, ".") }

func (l *limits) describe(name string, site bool) Destination {
	own, holds, rates := l.rows[name], l.node.Policy(name), []*queue.Rate{l.rows[name].Rate,
		l.rows[throttle.Everyone].Rate}
	if site {
		holds, rates = l.node.SitePolicy(name), rates[:1]
	}
	d := Destination{Name: name, Site: site, Rate: figures.Rate(holds.Rate), Burst: holds.Burst,
		Connections: holds.Connections, PerConnection: holds.PerConnection,
		TLS: cmp.Or(own.TLS, l.rows[throttle.Everyone].TLS), Set: []string{}}
	if holds.Rate != rate.Inf {
		perSecond := float64(holds.Rate)
		d.PerSecond = &perSecond
	}
	for _, r := range rates {
		if r != nil {
			d.Rate = figures.FormatRate(*r)
			break
		}
	}
	for _, field := range []struct {
		name string
		set  bool
	}{{"rate", own.Rate != nil}, {"burst", own.Burst > 0}, {"connections", own.Connections > 0},
		{"per-connection", own.PerConnection > 0}, {"TLS " + own.TLS, own.TLS != ""}} {
		if field.set {
			d.Set = append(d.Set, field.name)
		}
	}
	if len(d.Set) > 0 {
		d.UpdatedAt, d.UpdatedBy = &own.UpdatedAt, own.Who()
	}
	return d
}

// list lists the limits of a domain or site with their origin.
func (l *limits) list(name string, site bool) []limit {
	own, everyone := l.rows[name], l.rows[throttle.Everyone]
	d := l.describe(name, site)
	known, what := throttle.Known(name), "messages under way" // of a domain that shares a site
	if site {
		what = "connections"
	}
	from := func(set bool, builtIn bool, all bool) string {
		switch {
		case set:
			return fmt.Sprintf("set by %s at %s", own.Who(), figures.Clock(own.UpdatedAt))
		case builtIn:
			return "built in for " + name
		case all && name != throttle.Everyone:
			return fmt.Sprintf("set for * by %s at %s", everyone.Who(), figures.Clock(everyone.UpdatedAt))
		}
		return "default"
	}
	all := []limit{
		{name, "rate", d.Rate, from(own.Rate != nil, known.Rate > 0, everyone.Rate != nil && !site)},
		{name, "burst", figures.Count(d.Burst), from(own.Burst > 0, known.Burst > 0, everyone.Burst > 0)},
	}
	if site {
		all[0].What = "rate of all its domains"
	}
	if site || own.Connections > 0 {
		all = append(all, limit{name, what, figures.Count(d.Connections),
			from(own.Connections > 0, known.Connections > 0, everyone.Connections > 0)})
	}
	if site || own.PerConnection > 0 {
		all = append(all, limit{name, "messages per connection", figures.Count(d.PerConnection),
			from(own.PerConnection > 0, known.PerConnection > 0, everyone.PerConnection > 0)})
	}
	return all
}

// encryption is how mail to a domain or site is encrypted, with its origin: the
// name's own setting, else its site's, else the setting for all.
func (l *limits) encryption(name, site string) limit {
	for _, of := range []string{name, site, throttle.Everyone} {
		if d := l.rows[of]; d.TLS != "" {
			from := fmt.Sprintf("set by %s at %s", d.Who(), figures.Clock(d.UpdatedAt))
			if of != name {
				from = fmt.Sprintf("set for %s by %s at %s", of, d.Who(), figures.Clock(d.UpdatedAt))
			}
			return limit{name, "TLS", d.TLS, from}
		}
	}
	return limit{name, "TLS", "opportunistic", "default, unless run --tls says more"}
}

// Describe says what holds for a name now.
func Describe(ctx context.Context, db *queue.DB, name string) (Destination, error) {
	l, err := readLimits(ctx, db)
	if err != nil {
		return Destination{}, err
	}
	standing, err := insight.Of(db).Backlog(ctx, name)
	if err != nil {
		return Destination{}, err
	}
	return l.describe(name, isSite(name) || standing.IsSite && !standing.IsDomain), nil
}

// ParseName is a name as the throttle knows it. A word without a dot is a site; an unknown
// site is an error, since its limits would have no effect.
func ParseName(ctx context.Context, db *queue.DB, name string) (string, error) {
	lower := strings.ToLower(strings.TrimSpace(name))
	sites := throttle.Sites()
	switch {
	case lower == throttle.Everyone || slices.Contains(sites, lower):
		return lower, nil
	case !strings.Contains(lower, "."):
		return "", exit.Usagef("%q is neither a domain nor *, nor one of the sites %s", name, strings.Join(sites, ", "))
	}
	return db.Domain(ctx, lower)
}
