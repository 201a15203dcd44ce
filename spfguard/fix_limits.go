package spfguard

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// economise brings a record within the limits of RFC 7208 §4.6.4, as far as
// that takes nothing from anyone.
func (c *Checker) economise(ctx context.Context, q FixQuery, r *draft) error {
	four, six := c.Worst(ctx, q.query(stranger4, r.text())), c.Worst(ctx, q.query(stranger6, r.text()))
	if four.Err != nil || six.Err != nil || len(four.Root.Steps) != len(r.terms) ||
		len(six.Root.Steps) != len(r.terms) {
		return nil
	}
	if four.Voids > maxVoids {
		r.dropVoid(four.Root, six.Root)
	} else if four.Lookups > maxLookups && four.Loop == "" {
		e := economy{c, q, r, four.Lookups}
		return e.run(ctx, four.Root, six.Root)
	}
	return nil
}

// dropVoid deletes terms whose names have no address in either family, which
// match nobody.
func (r *draft) dropVoid(four, six *Node) {
	var kept []Term
	for i, t := range r.terms {
		a, b := &four.Steps[i], &six.Steps[i]
		if a.Void && b.Void && !t.Spec.Macros() && t.Kind != PTR && len(a.Addrs)+len(b.Addrs) == 0 {
			r.note("deleted %s: it has no address, and more than %d such terms are a permerror", t.Text, maxVoids)
			r.askDead(t, a)
			continue
		}
		kept = append(kept, t)
	}
	r.terms = kept
}

// askDead asks about a term that is deleted because its name has no address.
func (r *draft) askDead(t Term, st *Step) {
	lacks := "has no address"
	if len(st.Missing) > 0 {
		lacks = st.Missing[0].lacks("an address")
	}
	r.dead = append(r.dead,
		fmt.Sprintf("%q: %s %s. Is that host gone, or its name mistyped?", t.Text, st.Target, lacks))
}

// An economy takes look-ups out of a record that needs too many.
type economy struct {
	*Checker
	q       FixQuery
	r       *draft
	lookups int
}

// run goes from what is plainly superfluous to what has to be kept up by hand
// from then on, and stops as soon as the record is within the limit.
func (e *economy) run(ctx context.Context, four, six *Node) error {
	drop := make([]bool, len(e.r.terms))
	put := make([][]Term, len(e.r.terms))
	within := func() bool { return e.lookups <= maxLookups }
	save := func(i, n int) {
		drop[i] = true
		e.lookups -= n
	}
	cost := func(i int) int { l, _ := four.Steps[i].cost(); return l }
	seen := map[string]bool{}
	for i, t := range e.r.terms {
		key := strings.ToLower(t.String())
		if t.Kind.Queries() && seen[key] && !within() {
			e.r.note("deleted the second %s: it costs a look-up and matches nothing more", t.Text)
			save(i, cost(i))
		}
		seen[key] = true
	}
	for i, t := range e.r.terms {
		name, static := t.Spec.Static()
		if t.Kind != Include || t.Qualifier != Pass || !static || drop[i] || within() || !e.r.onlyPasses() {
			continue
		}
		for j := range e.r.terms {
			if via := four.Steps[j]; j != i && !drop[j] && via.Term.Kind == Include && via.Node != nil &&
				includes(via.Node, name) {
				e.r.note("deleted %s: %s includes it too", t.Text, via.Term.Text)
				save(i, cost(i))
				break
			}
		}
	}
	for i, t := range e.r.terms {
		addrs := slices.Concat(four.Steps[i].Addrs, six.Steps[i].Addrs)
		if (t.Kind != A && t.Kind != MX) || t.Qualifier != Pass || drop[i] || within() || t.Spec.Macros() ||
			!e.r.onlyPasses() {
			continue
		}
		switch {
		case len(addrs) == 0:
			e.r.note("deleted %s: it has no address, and costs a look-up", t.Text)
			e.r.askDead(t, &four.Steps[i])
			save(i, 1)
		case e.covered(addrs):
			e.r.note("deleted %s: ip4: and ip6: terms cover its addresses, and it costs a look-up", t.Text)
			save(i, 1)
		}
	}
	for i, t := range e.r.terms {
		name, static := t.Spec.Static()
		if t.Kind != Include || t.Qualifier != Pass || !static || drop[i] || within() ||
			!sameOrganisation(name, e.q.Domain) ||
			!e.r.onlyPasses() {
			continue
		}
		terms, err := e.meantBy(ctx, e.q, name, map[string]bool{strings.ToLower(e.q.Domain): true})
		if err != nil {
			return err
		}
		if len(terms) > 0 && len(terms) <= maxInline {
			e.r.note("wrote %s in place of %s, which costs a look-up", strings.Join(textsOf(terms), " "), t.Text)
			put[i] = terms
			save(i, 1)
		}
	}
	for i, t := range e.r.terms {
		st := &four.Steps[i]
		addrs := slices.Concat(st.Addrs, six.Steps[i].Addrs)
		if (t.Kind != A && t.Kind != MX) || t.Qualifier != Pass || drop[i] || within() || t.Bits4 < 32 ||
			t.Bits6 < 128 ||
			len(addrs) > 6 ||
			!e.own(st) {
			continue
		}
		nets := networkTerms("", aggregate(addrs))
		e.r.note("wrote %s in place of %s, which costs a look-up: when the host moves, so must this",
			strings.Join(nets, " "), t.Text)
		e.r.open = append(e.r.open,
			"When the hosts of "+t.Text+" move, their addresses in the SPF record have to change too.")
		for _, text := range nets {
			put[i] = append(put[i], mustTerm(text))
		}
		save(i, 1)
	}
	var kept []Term
	for i, t := range e.r.terms {
		if drop[i] {
			kept = append(kept, put[i]...)
		} else {
			kept = append(kept, t)
		}
	}
	e.r.terms = kept
	return nil
}

func textsOf(terms []Term) []string {
	texts := make([]string, len(terms))
	for i, t := range terms {
		texts[i] = t.Text
	}
	return texts
}

// own reports whether the hosts of a term are of the client's own organisation.
func (e *economy) own(st *Step) bool {
	for _, host := range append([]string{st.Target}, st.Hosts...) {
		if !sameOrganisation(host, e.q.Domain) {
			return false
		}
	}
	return true
}

// covered reports whether networks of the record hold all addrs.
func (e *economy) covered(addrs []netip.Addr) bool {
	for _, addr := range addrs {
		if !slices.ContainsFunc(e.r.terms,
			func(t Term) bool { return (t.Kind == IP4 || t.Kind == IP6) && t.Net.Contains(addr) }) {
			return false
		}
	}
	return true
}

// includes reports whether every address that passes under the record of name passes
// under n, because n includes it.
func includes(n *Node, name string) bool {
	for i := range n.Steps {
		st := &n.Steps[i]
		switch {
		case st.Term.Qualifier != Pass && !st.Term.Kind.Modifier() && st.Term.Kind != All:
			return false
		case st.Term.Kind != Include && st.Term.Kind != Redirect || st.Node == nil:
		case strings.EqualFold(st.Target, name) || includes(st.Node, name):
			return true
		}
	}
	return false
}
