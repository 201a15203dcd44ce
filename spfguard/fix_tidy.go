package spfguard

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// oneEnd gives a record that is changed anyway one all and nothing behind it,
// and no redirect that all disables. Every address that passed still passes.
func (c *Checker) oneEnd(ctx context.Context, q FixQuery, r *draft) {
	c.freeRedirect(ctx, q, r)
	r.oneAll()
}

// tidy leaves nothing else that lint would fault in a record that is changed anyway. Every
// address that passed still passes.
func (c *Checker) tidy(ctx context.Context, q FixQuery, r *draft) error {
	c.oneEnd(ctx, q, r)
	r.dropRepeated()
	return c.quietFirst(ctx, q, r)
}

// freeRedirect makes an include of a redirect that stands beside all, which
// receivers ignore (RFC 7208 §6.1): its author meant its senders too.
func (c *Checker) freeRedirect(ctx context.Context, q FixQuery, r *draft) {
	at := slices.IndexFunc(r.terms, func(t Term) bool { return t.Kind == Redirect })
	if at < 0 || !slices.ContainsFunc(r.terms, func(t Term) bool { return t.Kind == All }) {
		return
	}
	t := r.terms[at]
	if name, static := t.Spec.Static(); static {
		target := c.Worst(ctx, Query{IP: stranger4, Domain: name, Sender: q.Sender, HELO: q.HELO})
		_, why := broken(target.Root)
		switch {
		case target.Root.Result == None:
			r.note("deleted %s: beside all it is ignored, and %s %s", t.Text, name, target.Root.lacks())
			r.terms = slices.Delete(r.terms, at, at+1)
			return
		case why != "" || target.Err != nil || strings.EqualFold(name, q.Domain):
			r.open = append(
				r.open,
				fmt.Sprintf(
					"Did %s mean that the senders of %s may send? Beside all it is ignored, and the record of "+
						"%s cannot be used as it is.",
					t.Text,
					name,
					name,
				),
			)
			return
		}
	}
	r.note("made an include of %s: beside all a redirect is ignored (RFC 7208 §6.1)", t.Text)
	with := mustTerm("include:" + t.Spec.String())
	r.terms = slices.Delete(r.terms, at, at+1)
	last := 1 + lastIndex(r.terms, func(t Term) bool { return !t.Kind.Modifier() && t.Kind != All })
	r.terms = slices.Insert(r.terms, last, with) // last, so that no error in it cuts off what follows
}

// oneAll leaves one all, behind every mechanism. Of several in a record that
// was read as it stands, the first is the one that counts; where receivers
// read none of it, the mildest.
func (r *draft) oneAll() {
	var all *Term
	at, redirect := 0, false
	var rest []Term
	for i := range r.terms {
		t := &r.terms[i]
		redirect = redirect || t.Kind == Redirect
		if all != nil && !r.altered && !t.Kind.Modifier() && t.Qualifier != Pass && t.Kind != All {
			r.note("deleted %s: it stands behind %s, where receivers read nothing, and authorises nobody", t.Text,
				all.Text)
			continue
		}
		if t.Kind != All {
			rest = append(rest, *t)
			continue
		}
		if all == nil || r.altered && mildness(t.Qualifier) > mildness(all.Qualifier) {
			all = t
		}
		at = len(rest)
	}
	switch {
	case all == nil && redirect:
		return
	case all == nil:
		neutral := mustTerm("?all")
		all, at = &neutral, len(rest)
		r.note("added ?all at the end: it says the same as a record without all, and says it openly")
	case all.Qualifier == Pass && r.altered:
		soft := mustTerm("~all")
		r.note("wrote ~all in place of %s, which would let the whole world send", all.Text)
		all = &soft
	}
	last := 1 + lastIndex(rest, func(t Term) bool { return !t.Kind.Modifier() })
	if last > at {
		r.note("moved all behind %s: receivers read nothing after it", rest[last-1].Text)
	}
	r.terms = slices.Insert(rest, max(at, last), *all)
}

func lastIndex(terms []Term, is func(Term) bool) int {
	for i := len(terms) - 1; i >= 0; i-- {
		if is(terms[i]) {
			return i
		}
	}
	return -1
}

func mildness(r Result) int {
	return slices.Index([]Result{Pass, Fail, SoftFail, Neutral}, r) // not Pass for all: no domain means that
}

// dropRepeated deletes terms that stand there before.
func (r *draft) dropRepeated() {
	var kept []Term
	for _, t := range r.terms {
		again := slices.ContainsFunc(kept, func(k Term) bool {
			return strings.EqualFold(k.String(), t.String()) || (t.Kind == IP4 || t.Kind == IP6) && sameTarget(&k, &t)
		})
		if again && t.Kind != Unknown {
			r.note("deleted the second %s", t.Text)
			continue
		}
		kept = append(kept, t)
	}
	r.terms = kept
}

// quietFirst moves networks, and then terms without empty answers, to the front
// when the limits keep a sender from passing: those of RFC 7208, or those of
// receivers that count empty answers by query (see Strict).
func (c *Checker) quietFirst(ctx context.Context, q FixQuery, r *draft) error {
	if !r.onlyPasses() {
		return nil
	}
	hit, err := c.victim(ctx, q, r.text())
	if err != nil || !hit.IsValid() {
		return err
	}
	four, six := c.Worst(ctx, q.query(stranger4, r.text())), c.Worst(ctx, q.query(stranger6, r.text()))
	if len(four.Root.Steps) != len(r.terms) || len(six.Root.Steps) != len(r.terms) {
		return nil
	}
	var networks, quiet, noisy, failing, rest []Term
	for i, t := range r.terms {
		part := &quiet
		switch a, b := &four.Root.Steps[i], &six.Root.Steps[i]; {
		case t.Kind == IP4 || t.Kind == IP6:
			part = &networks
		case t.Kind == All || t.Kind.Modifier():
			part = &rest
		case a.broken() || b.broken():
			part = &failing
		case a.empty()+b.empty() > 0:
			part = &noisy
		}
		*part = append(*part, t)
	}
	others := slices.DeleteFunc(slices.Clone(r.terms), func(t Term) bool { return t.Kind == IP4 || t.Kind == IP6 })
	best := slices.Concat(networks, quiet, noisy, failing, rest)
	for _, sorted := range [][]Term{best, slices.Concat(networks, others)} {
		with := draft{terms: sorted}
		if with.text() == r.text() {
			return nil
		}
		lost, _, err := c.lost(ctx, q, r.text(), with.text(), c.Check)
		if err != nil {
			return err
		}
		if len(lost) > 0 {
			continue // a name that fails for some addresses and not for others
		}
		r.terms = sorted
		r.note(
			"moved networks, and terms without empty answers, to the front: receivers allow 10 look-ups and 2 "+
				"empty answers (some of them count queries, not terms), and would not have got to %s",
			hit,
		)
		return nil
	}
	return nil
}

// broken reports whether a receiver that gets to the step gets an error.
func (st *Step) broken() bool {
	if st.Outcome == Failed {
		return true
	}
	if st.Node == nil {
		return false
	}
	_, why := broken(st.Node)
	return why != ""
}

// empty counts the empty answers of a step, with all that it leads to.
func (st *Step) empty() int {
	n := len(st.Missing)
	if st.Node != nil {
		for i := range st.Node.Steps {
			n += st.Node.Steps[i].empty()
		}
	}
	return n
}
