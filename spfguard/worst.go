package spfguard

import (
	"context"
	"net/netip"
)

// maxSurvey bounds what Worst counts.
const maxSurvey = 100

// Addresses that no record means: one of the reserved class E, and one of the
// discard prefix (RFC 6666).
var (
	stranger4 = netip.MustParseAddr("240.0.0.1")
	stranger6 = netip.MustParseAddr("100::1")
)

// A Cost is what a record asks of a receiver in the worst case.
type Cost struct {
	Lookups int    // terms that query; over 10 is a permerror for an address that matches no term before
	Voids   int    // of them, terms with an empty answer; over 2 is a permerror
	Empty   int    // queries with an empty answer; over 2 is a permerror at receivers that count those (see Strict)
	Err     error  // a temporary one: then the record may cost more
	Loop    string // the domains that lead back to the first of them, "" if none do; then Lookups are over the limit
	Root    *Node
}

// Over reports whether the limits of RFC 7208 §4.6.4 are exceeded.
func (c Cost) Over() bool { return c.Lookups > maxLookups || c.Voids > maxVoids }

// Worst evaluates q for an address of the family of q.IP that matches nothing
// but all, and goes on past errors and limits. A record may pass for an
// address whose term comes early and still be a permerror for everyone else.
func (c *Checker) Worst(ctx context.Context, q Query) Cost {
	ctx, cancel := c.limit(ctx)
	defer cancel()
	if q.IP.Unmap().Is4() {
		q.IP = stranger4
	} else {
		q.IP = stranger6
	}
	e := newEvaluation(c, q)
	e.survey = true
	root := e.checkHost(ctx, e.domain)
	cost := Cost{Lookups: e.lookups, Voids: e.voids, Empty: e.empty, Err: e.temporary, Loop: e.loop, Root: root}
	if cost.Loop != "" { // a receiver goes round until the limit
		cost.Lookups = max(cost.Lookups, maxLookups+1)
	}
	return cost
}
