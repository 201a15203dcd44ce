package spfguard

import (
	"context"
	"fmt"
	"net/netip"
	"time"
)

// How long a verdict may be relied on, whatever the TTLs say: not so short
// that checking becomes the work, not so long that a changed record goes
// unseen for a campaign.
const (
	minVerdictTTL = time.Minute
	maxVerdictTTL = time.Hour
)

// A Verdict is what the guard keeps about one identity and one egress address.
type Verdict struct {
	Domain   string // of the identity
	IP       netip.Addr
	Result   Result
	Decision Decision
	Record   string   // that Domain publishes; "" if none
	Matched  string   // the term that decided, as written; "" if none did
	Path     []string // the domains from Domain to the one whose record holds Matched

	Lookups, Voids           int // as evaluated
	WorstLookups, WorstVoids int // for an address that matches nothing

	// Strict is the result at receivers that count every empty answer (see
	// [Checker.Strict]), and Empty how many they count. Where Strict is a
	// permerror and Result is not, StrictExplanation says so in a sentence.
	Strict            Result
	Empty, WorstEmpty int
	StrictExplanation string

	TTL         time.Duration // until the question is worth asking again
	Explanation string        // one sentence for an operator
	Err         error         // why Result is TempError or PermError

	Evaluation *Evaluation // the tree
	Worst      Cost
}

// Verdict evaluates q for its address and, unless that fails for want of the DNS, for an
// address that matches nothing.
func (c *Checker) Verdict(ctx context.Context, q Query) Verdict {
	ev := c.Check(ctx, q)
	v := Verdict{
		Domain: ev.Domain, IP: q.IP.Unmap(), Result: ev.Result, Decision: ev.Result.Decide(),
		Record: ev.Root.Text, Lookups: ev.Lookups, Voids: ev.Voids,
		TTL:         min(max(ev.TTL, minVerdictTTL), maxVerdictTTL),
		Explanation: ev.Explain(), Err: ev.Err, Evaluation: ev,
	}
	if v.Result == TempError {
		v.TTL = minVerdictTTL
	} else if ev.Root.Text != "" {
		v.Worst = c.Worst(ctx, q)
		v.WorstLookups, v.WorstVoids, v.WorstEmpty = v.Worst.Lookups, v.Worst.Voids, v.Worst.Empty
	}
	v.Strict, v.Empty = v.Result, ev.Empty
	if v.Result != TempError && v.Result != PermError && ev.Root.Text != "" {
		if strict := c.Strict(ctx, q); strict.Result == PermError {
			v.Strict, v.Empty = PermError, strict.Empty
			v.StrictExplanation = fmt.Sprintf(
				"Some receivers count every empty answer (pyspf, Mail::SPF). For %s that makes %d. "+
					"They allow %d, and they call the SPF of %s broken.",
				v.IP,
				strict.Empty,
				maxVoids,
				v.Domain,
			)
		}
	}
	for _, n := range ev.Path() {
		v.Path = append(v.Path, n.Domain)
	}
	if t := ev.Matched(); t != nil {
		v.Matched = t.Text
	}
	return v
}
