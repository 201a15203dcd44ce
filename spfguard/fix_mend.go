package spfguard

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/net/publicsuffix"
)

// maxInline is the most terms that take the place of an include.
const maxInline = 12

// mend takes out of a record what makes it a permerror. A term that names a
// sender is replaced by one that works. Where the DNS has a trace of the
// sender and not which, that is a doubt.
func (c *Checker) mend(ctx context.Context, q FixQuery, r *draft) error {
	four, six := c.Worst(ctx, q.query(stranger4, r.text())), c.Worst(ctx, q.query(stranger6, r.text()))
	if len(four.Root.Steps) != len(r.terms) || len(six.Root.Steps) != len(r.terms) {
		return nil // the DNS could not say; for egress addresses it is asked again
	}
	var kept, others, last []Term // last are terms in error, others all but those
	for i := range r.terms {
		t, st := r.terms[i], &four.Root.Steps[i]
		name, static := t.Spec.Static()
		var put []Term
		var err error
		switch n := st.Node; {
		case static && st.Loop && strings.EqualFold(name, q.Domain):
			if put, err = c.ownHosts(ctx, q, r, t); err != nil {
				return err
			}
		case n == nil && st.Outcome == Failed && severity(st.Err) == PermError && !st.Loop:
			r.open = append(r.open,
				st.Err.Error()+": a permerror at receivers that get there. Its owner has to repair it.")
			last, put = append(last, t), []Term{t}
		case !static || n == nil:
			put = []Term{t}
		case n.Result == None:
			put, err = c.replace(ctx, q, r, t, name, n)
		default:
			owner, why := broken(n)
			if why == "" {
				put = []Term{t}
				break
			}
			if t.Kind == Include && t.Qualifier != Pass {
				r.note(
					"deleted %s: the record of %s is broken (%s), which is a permerror, and the term authorised "+
						"nobody",
					t.Text,
					owner,
					why,
				)
				break
			}
			if put, err = c.inline(ctx, q, r, t, name, why); put != nil || err != nil {
				break
			}
			r.open = append(
				r.open,
				fmt.Sprintf(
					"%s leads to the record of %s, which is broken (%s): a permerror at receivers that get there. "+
						"Its owner has to repair it.",
					t.Text,
					owner,
					why,
				),
			)
			put = []Term{t}
			if t.Kind == Include {
				last = append(last, t)
			}
		}
		if err != nil {
			return err
		}
		kept = append(kept, put...)
		if len(last) == 0 || last[len(last)-1].Pos != t.Pos {
			others = append(others, put...)
		}
	}
	r.terms = kept
	if err := c.putLast(ctx, q, r, others, last); err != nil {
		return err
	}
	return c.economise(ctx, q, r)
}

// putLast moves terms in error behind the others, where they cut off nobody.
// Every address that passes by such a term before the error still passes, else the terms stay.
func (c *Checker) putLast(ctx context.Context, q FixQuery, r *draft, others, last []Term) error {
	if len(last) == 0 || !r.onlyPasses() {
		return nil
	}
	at := 1 + lastIndex(others, func(t Term) bool { return !t.Kind.Modifier() && t.Kind != All })
	with := draft{terms: slices.Insert(others, at, last...)}
	if with.text() == r.text() {
		return nil
	}
	lost, _, err := c.lost(ctx, q, r.text(), with.text(), c.Check)
	if err == nil && len(lost) == 0 {
		r.terms = with.terms
		r.note("moved %s behind the other terms: the error in what it leads to cuts off what follows", last[0].Text)
	}
	return err
}

// ownHosts takes the place of an include of the domain itself, which is a
// permerror: all that it can have meant are the domain's own hosts.
func (c *Checker) ownHosts(ctx context.Context, q FixQuery, r *draft, t Term) ([]Term, error) {
	var terms []Term
	if t.Kind == Include && t.Qualifier == Pass {
		h, err := c.holdings(ctx, q.Domain)
		if err != nil {
			return nil, err
		}
		for kind, has := range map[Kind]bool{A: len(h.addrs) > 0, MX: len(h.hosts) > 0} {
			if has &&
				!slices.ContainsFunc(r.terms,
					func(t Term) bool { return t.Kind == kind && t.Spec.Empty() && t.Qualifier == Pass }) {
				terms = append(terms, mustTerm(string(kind)))
			}
		}
		slices.SortFunc(terms, func(a, b Term) int { return strings.Compare(a.Text, b.Text) })
	}
	if len(terms) == 0 {
		r.note("deleted %s: it leads back to the record itself, which is a permerror, and names nobody else", t.Text)
	} else {
		r.note("wrote %s in place of %s: that leads back to the record itself, which is a permerror, and can "+
			"only have meant the domain's own hosts", strings.Join(textsOf(terms), " "), t.Text)
	}
	return terms, nil
}

// broken says in whose record, at or below n, and why a receiver gets a
// permerror that is not a matter of the limits.
func broken(n *Node) (owner, why string) {
	if n.Result == PermError && len(n.Steps) == 0 {
		return n.Domain, strings.TrimPrefix(n.Err.Error(), n.Domain+": ")
	}
	if deep, owner := brokenBelow(n); deep != nil {
		return owner, deep.Term.Text + " in it cannot be used"
	}
	return "", ""
}

// replace finds what was meant by an include or redirect whose target has no
// SPF record.
func (c *Checker) replace(ctx context.Context, q FixQuery, r *draft, t Term, name string, n *Node) ([]Term, error) {
	if t.Kind == Include && t.Qualifier != Pass {
		r.note("deleted %s: %s %s, which is a permerror, and it authorised nobody", t.Text, name, n.lacks())
		return nil, nil
	}
	h, err := c.holdings(ctx, name)
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, err
	case err != nil:
		r.doubts = append(r.doubts,
			fmt.Sprintf("%q: %s %s, and the DNS could not say more about it (%v). Who was meant?",
				t.Text, name, n.lacks(), err))
		return []Term{t}, nil
	case !h.any():
		return c.replaceNothing(ctx, q, r, t, name, n)
	}
	itself := len(h.hosts) == 0 || len(h.hosts) == 1 && strings.EqualFold(h.hosts[0], name)
	switch near := serviceNear(name); {
	case t.Kind == Include && len(h.addrs) > 0 && (itself || sameOrganisation(name, q.Domain)):
		kinds, err := c.roles(ctx, name, q.Domain, h)
		if err != nil {
			return nil, err
		}
		var terms []Term
		for _, kind := range kinds {
			terms = append(terms, mustTerm(string(kind)+":"+name))
		}
		r.note("wrote %s in place of %s: it is a host and has no SPF record, so that including it is a permerror",
			strings.Join(textsOf(terms), " "), t.Text)
		return terms, nil
	case near != "":
		r.doubts = append(r.doubts,
			fmt.Sprintf("%q: %s %s. Was %q meant?", t.Text, name, n.lacks(), string(t.Kind)+":"+near))
	default:
		r.doubts = append(r.doubts, fmt.Sprintf("%q: %s has no SPF record that would say which servers send for it. "+
			"Which addresses does it send from?", t.Text, name))
	}
	return []Term{t}, nil
}

// replaceNothing is replace for a name that the DNS has nothing at.
func (c *Checker) replaceNothing(ctx context.Context, q FixQuery, r *draft, t Term, name string,
	n *Node) ([]Term, error) {
	name = strings.ToLower(name)
	for _, tail := range []string{"mx", "a"} { // the space before a further term got lost
		head, ok := strings.CutSuffix(name, tail)
		if !ok || !hostLike(head) {
			continue
		}
		more, err := c.holdings(ctx, head)
		if err != nil {
			return nil, err
		}
		if len(more.records) == 1 {
			r.note("parted %s: %s has an SPF record, and %s does not exist", t.Text, head, name)
			return []Term{mustTerm(string(t.Kind) + ":" + head), mustTerm(tail)}, nil
		}
	}
	above := holdings{absent: true}
	owner, err := publicsuffix.EffectiveTLDPlusOne(name)
	if err == nil && owner != name {
		if above, err = c.holdings(ctx, owner); err != nil {
			return nil, err
		}
	}
	var ask string
	switch near := serviceNear(name); {
	case near != "":
		ask = fmt.Sprintf("%q: %s %s. Was %q meant?", t.Text, name, n.lacks(), string(t.Kind)+":"+near)
	case !isTLD(name[strings.LastIndexByte(name, '.')+1:]):
		ask = fmt.Sprintf(
			"%q: there is no such top-level domain, so that the name must be mistyped. Which was meant?", t.Text)
	case !n.Absent || sameOrganisation(name, q.Domain):
		ask = fmt.Sprintf("%q: %s %s. Who was meant, and by which name is its SPF record known now?", t.Text, name,
			n.lacks())
	case !above.absent:
		ask = fmt.Sprintf(
			"%q: %s does not exist, and %s does. By which name is the SPF record of that service known now?",
			t.Text, name, owner)
	default:
		r.dead = append(r.dead,
			fmt.Sprintf("%q: %s does not exist. Is that service gone, or its name mistyped?", t.Text, name))
		r.note("deleted %s: %s does not exist, which is a permerror at receivers that get there", t.Text, name)
		if t.Kind == Redirect {
			r.note("added ~all at the end in its place")
			return []Term{mustTerm("~all")}, nil
		}
		return nil, nil
	}
	r.doubts = append(r.doubts, ask)
	return []Term{t}, nil
}

// inline writes what the record of name says in place of an include of it,
// since that record is a permerror at receivers that get there; nil when that cannot
// be said.
func (c *Checker) inline(ctx context.Context, q FixQuery, r *draft, t Term, name, why string) ([]Term, error) {
	terms, err := c.meantBy(ctx, q, name, map[string]bool{strings.ToLower(q.Domain): true})
	if ctx.Err() != nil {
		return nil, err
	}
	if err != nil || terms == nil || len(terms) > maxInline || t.Kind != Include || t.Qualifier != Pass {
		return nil, nil
	}
	var texts []string
	for _, t := range terms {
		texts = append(texts, t.Text)
	}
	r.note("wrote %s in place of %s, whose record is broken (%s)", strings.Join(texts, " "), t.Text, why)
	r.open = append(
		r.open,
		fmt.Sprintf(
			"Tell the owner of %s that its SPF record is broken (%s). Once it is repaired, include it again.", name,
			why),
	)
	return terms, nil
}

// meantBy are the terms by which the record of another domain authorises, to
// stand in a record of q.Domain; nil when that cannot be said. above are the
// domains whose terms are there already.
func (c *Checker) meantBy(ctx context.Context, q FixQuery, name string, above map[string]bool) ([]Term, error) {
	h, err := c.holdings(ctx, name)
	if err != nil || len(h.records) == 0 {
		return nil, err
	}
	above[strings.ToLower(name)] = true
	terms := []Term{}
	for _, text := range h.records {
		r, err := c.reread(ctx, text, name)
		if err != nil {
			return nil, err
		}
		if len(r.doubts) > 0 || !r.onlyPasses() {
			return nil, nil
		}
		for _, t := range r.terms {
			target, static := t.Spec.Static()
			switch {
			case t.Kind == Exp || t.Kind == Unknown || t.Kind == All && t.Qualifier != Pass:
			case t.Kind == All || !static && !t.Spec.Empty():
				return nil, nil // everyone, or a macro that means something else here
			case (t.Kind == Include || t.Kind == Redirect) && above[strings.ToLower(target)]: // a loop
			case t.Kind == Include || t.Kind == Redirect:
				below := c.Worst(ctx,
					Query{IP: stranger4, Domain: target, Sender: "postmaster@" + q.Domain, HELO: q.HELO})
				if deep, _ := brokenBelow(below.Root); deep == nil && below.Root.Result != None &&
					below.Root.Result != PermError &&
					below.Root.Result != TempError {
					terms = append(terms, mustTerm("include:"+target))
					continue
				}
				if below.Root.Result == None {
					continue // nobody passes by it, there or here
				}
				more, err := c.meantBy(ctx, q, target, above)
				if err != nil || more == nil {
					return nil, err
				}
				terms = append(terms, more...)
			case t.Kind != IP4 && t.Kind != IP6 && t.Spec.Empty():
				head, bits, _ := strings.Cut(t.Text, "/")
				if bits != "" {
					bits = "/" + bits
				}
				terms = append(terms, mustTerm(head+":"+name+bits))
			default:
				terms = append(terms, t)
			}
		}
	}
	return terms, nil
}
