package spfguard

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// A repair is a record on the way from what is published to what should be.
type repair struct {
	before  string // as published; "" if there is none
	terms   []Term
	changes []string
}

// repair reads the record and removes what makes it a permerror.
func (c *Checker) repair(ctx context.Context, q FixQuery) (*repair, error) {
	texts := []string{q.Record}
	if q.Record == "" {
		ans, err := c.Resolver.TXT(ctx, q.Domain)
		if !answered(err) {
			return nil, err
		}
		texts = ans.Records
	}
	r, err := c.read(ctx, q, texts)
	if err != nil {
		return nil, err
	}
	c.prune(ctx, q, r)
	return r, nil
}

// read finds the one record among texts, or what was meant to be one.
func (c *Checker) read(ctx context.Context, q FixQuery, texts []string) (*repair, error) {
	var records []string
	for _, text := range texts {
		if isSPF(text) {
			records = append(records, text)
		}
	}
	switch {
	case len(records) > 1:
		return merge(records, q.Domain), nil
	case len(records) == 1:
		return reread(records[0], q.Domain), nil
	}
	if x := examinePublished(texts, q.Domain); x.original != "" {
		return reread(x.original, q.Domain), nil
	}
	if q.Record != "" {
		return reread(q.Record, q.Domain), nil
	}
	return c.propose(ctx, q)
}

// reread takes a record as it was meant.
func reread(text, domain string) *repair {
	x := examine(text, domain)
	r := &repair{before: text}
	if !x.altered() {
		rec, _ := Parse(text)
		r.terms = rec.Terms
		return r
	}
	r.terms = x.record().Terms
	for _, f := range x.sorted() {
		if f.Severity == Error && f.Rule != "all.pass" && f.Rule != "net.wide" && f.Rule != "modifier.equals" && f.Rule != "modifier.unknown" {
			r.note("repaired %q (%s): %s", f.Text, f.Message, f.Remedy)
		}
	}
	return r
}

// merge makes one record of several: all their terms, and the mildest all.
func merge(records []string, domain string) *repair {
	r := &repair{before: strings.Join(records, "\n")}
	r.note("merged %d records into one: several are a permerror (RFC 7208 §4.5)", len(records))
	var all *Term
	seen := map[string]bool{}
	for _, text := range records {
		part := reread(text, domain)
		r.changes = append(r.changes, part.changes...)
		for _, t := range part.terms {
			switch {
			case t.Kind == All:
				if all == nil || mildness(t.Qualifier) > mildness(all.Qualifier) {
					all = &t
				}
			case t.Kind == Redirect:
				if in, why := parseTerm("include:" + t.Spec.String()); why == "" && !seen[in.String()] {
					in.Text = in.String()
					seen[in.String()] = true
					r.terms = append(r.terms, in)
				}
			case !seen[t.String()]:
				seen[t.String()] = true
				r.terms = append(r.terms, t)
			}
		}
	}
	if all != nil {
		r.terms = append(r.terms, *all)
	}
	return r
}

func mildness(r Result) int {
	return slices.Index([]Result{Fail, SoftFail, Neutral, Pass}, r)
}

// propose writes a first record: the domain's own hosts, and doubt about all
// others until they are known.
func (c *Checker) propose(ctx context.Context, q FixQuery) (*repair, error) {
	r := new(repair)
	mx, err := c.Resolver.MX(ctx, q.Domain)
	if !answered(err) {
		return nil, err
	}
	a, err := c.Resolver.A(ctx, q.Domain)
	if !answered(err) {
		return nil, err
	}
	var terms []string
	if len(mx.Records) > 0 && len(mx.Records) <= maxHosts && mx.Records[0].Host != "" {
		terms = append(terms, "mx")
	}
	if len(a.Records) > 0 {
		terms = append(terms, "a")
	}
	r.prepend(append(terms, "~all")...)
	r.note("there is no record yet: this one authorises the domain's own hosts, as far as it has any, and has all others softfail until every sender is known")
	return r, nil
}

// prune deletes terms that can match no one and make a permerror for others:
// includes without a usable record, and names that do not exist once they are
// too many; and repeated terms once the lookups are too many. While the DNS
// does not say which those are, none is.
func (c *Checker) prune(ctx context.Context, q FixQuery, r *repair) {
	worst := c.Worst(ctx, q.query(stranger4, r.text()))
	six := c.Worst(ctx, q.query(stranger6, r.text()))
	if worst.Err != nil || six.Err != nil {
		return
	}
	var keep []Term
	redirected := false
	seen := map[string]bool{}
	for i := range worst.Root.Steps {
		st, st6 := &worst.Root.Steps[i], &six.Root.Steps[i]
		text := strings.ToLower(st.Term.String())
		n := st.Node
		switch {
		case n != nil && !st.Term.Spec.Macros() && (n.Result == None || n.Result == PermError && n.Steps == nil):
			r.note("deleted %s: %s has no record that could be used, which is a permerror for whoever gets there", st.Term.Text, st.Target)
			redirected = redirected || st.Term.Kind == Redirect
		case worst.Voids > maxVoids && st.Void && st6.Void && !st.Term.Spec.Macros() && st.Term.Kind != PTR && len(st.Addrs)+len(st6.Addrs) == 0:
			r.note("deleted %s: it has no address, and more than %d such terms are a permerror", st.Term.Text, maxVoids)
		case worst.Lookups > maxLookups && st.Term.Kind.Queries() && seen[text]:
			r.note("deleted the second %s: it costs a lookup and matches nothing more", st.Term.Text)
		default:
			keep = append(keep, *st.Term)
		}
		seen[text] = true
	}
	if r.terms = keep; redirected {
		all, _ := parseTerm("~all")
		all.Text = "~all"
		r.terms = append(r.terms, all)
		r.note("added ~all at the end in its place")
	}
}

func (r *repair) text() string {
	texts := []string{version}
	for _, t := range r.terms {
		texts = append(texts, t.Text)
	}
	return strings.Join(texts, " ")
}

func (r *repair) note(format string, args ...any) {
	r.changes = append(r.changes, fmt.Sprintf(format, args...))
}

func (r *repair) clone() *repair {
	return &repair{r.before, slices.Clone(r.terms), slices.Clone(r.changes)}
}

// prepend puts terms first, and deletes those to the right that say something
// else about the same network or domain.
func (r *repair) prepend(texts ...string) {
	var terms []Term
	for _, text := range texts {
		t, _ := parseTerm(text)
		t.Text = text
		terms = append(terms, t)
	}
	for _, old := range r.terms {
		if !slices.ContainsFunc(terms, func(t Term) bool { return sameTarget(&t, &old) }) {
			terms = append(terms, old)
		}
	}
	r.terms = terms
}

func sameTarget(a, b *Term) bool {
	if a.Kind != b.Kind {
		return false
	}
	switch a.Kind {
	case IP4, IP6:
		return a.Net.Masked() == b.Net.Masked()
	case Include:
		return strings.EqualFold(a.Spec.String(), b.Spec.String())
	}
	return false
}
