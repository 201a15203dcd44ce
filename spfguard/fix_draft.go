package spfguard

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"enotify/spfguard/dns"
)

// A draft is a record on the way from what is published to what should be.
type draft struct {
	absent  bool     // the domain does not exist
	before  string   // as published; "" if there is none
	stale   []string // further records, to be deleted
	terms   []Term
	altered bool // receivers did not read the record as it was meant
	changes []string
	doubts  []string // questions without whose answers a sender would be lost
	dead    []string // questions about senders that are deleted, should they be gone
	open    []string // questions that can wait
}

// draft reads the record as it was meant.
func (c *Checker) draft(ctx context.Context, q FixQuery) (*draft, error) {
	texts := []string{q.Record}
	if q.Record == "" {
		ans, err := c.Resolver.TXT(ctx, q.Domain)
		absent := errors.Is(err, dns.ErrNXDomain)
		if absent && !q.New {
			return nil, fmt.Errorf("%w: %s does not exist (NXDOMAIN); is the name mistyped?", ErrNoFix, q.Domain)
		}
		if !answered(err) {
			return nil, err
		}
		if absent {
			r, err := c.propose(ctx, q)
			if err == nil {
				r.absent = true
			}
			return r, err
		}
		texts = ans.Records
	}
	records, torn := pickPublished(texts)
	switch {
	case len(records) == 0 && q.Record != "":
		return c.reread(ctx, q.Record, q.Domain)
	case len(records) == 0:
		return c.propose(ctx, q)
	case len(records)+len(torn) > 1:
		return c.merge(ctx, records, torn, q.Domain)
	}
	return c.reread(ctx, records[0], q.Domain)
}

// reread takes a record as it was meant.
func (c *Checker) reread(ctx context.Context, text, domain string) (*draft, error) {
	x := examine(text, domain)
	r := &draft{before: text, altered: x.altered()}
	if !r.altered {
		rec, _ := Parse(text)
		r.terms = rec.Terms
		return r, nil
	}
	if err := x.settle(ctx, c); err != nil {
		return nil, err
	}
	r.doubts, r.open = x.doubts, x.open
	for _, t := range x.terms {
		if t.Kind == Redirect && slices.ContainsFunc(r.terms, func(t Term) bool { return t.Kind == Redirect }) {
			t.Term = mustTerm("include:" + t.Spec.String()) // only one may stand as a redirect
		}
		if t.Kind == Exp && slices.ContainsFunc(r.terms, func(t Term) bool { return t.Kind == Exp }) {
			continue
		}
		r.terms = append(r.terms, t.Term)
	}
	for _, f := range x.sorted() {
		r.note("%s", f.repair())
	}
	return r, nil
}

// repair says what was done about a finding.
func (f Finding) repair() string {
	what := fmt.Sprintf("%q", f.Text)
	if f.Text == "" {
		what = "the record"
	}
	return fmt.Sprintf("repaired %s (%s): %s", what, f.Message, f.Remedy)
}

// mustTerm is a term of ours, whose syntax is known to be right.
func mustTerm(text string) Term {
	t, why := parseTerm(text)
	if why != "" {
		panic("spfguard: " + text + ": " + why)
	}
	t.Text = text
	return t
}

// merge makes one record of several, and of torn pieces: all their terms, and
// the mildest all.
func (c *Checker) merge(ctx context.Context, records, torn []string, domain string) (*draft, error) {
	r := &draft{before: records[0], stale: append(slices.Clone(records[1:]), torn...), altered: true}
	if len(records) > 1 {
		r.note("merged %d records into one: a domain has one (RFC 7208 §4.5)", len(records))
	}
	for _, text := range torn {
		records = append(records, version+" "+text)
		r.note("put in %q, which stands beside the record as a TXT record of its own and is not read there", text)
	}
	seen := map[string]bool{}
	for i, text := range records {
		part, err := c.reread(ctx, text, domain)
		if err != nil {
			return nil, err
		}
		r.changes = append(r.changes, part.changes...)
		r.doubts = append(r.doubts, part.doubts...)
		r.open = append(r.open, part.open...)
		for _, t := range part.terms {
			switch {
			case t.Kind == Redirect && i > 0:
				t = mustTerm("include:" + t.Spec.String())
			case t.Kind == Exp && i > 0:
				continue // only one may stand
			}
			if key := strings.ToLower(t.String()); !seen[key] || t.Kind == All {
				seen[key] = true
				r.terms = append(r.terms, t)
			}
		}
	}
	return r, nil
}

// propose writes a first record: the domain's own hosts, and doubt about all
// others until they are known.
func (c *Checker) propose(ctx context.Context, q FixQuery) (*draft, error) {
	r := new(draft)
	mx, err := c.Resolver.MX(ctx, q.Domain)
	if !answered(err) {
		return nil, err
	}
	a, err := c.Resolver.A(ctx, q.Domain)
	if !answered(err) {
		return nil, err
	}
	if len(mx.Records) > 0 && len(mx.Records) <= maxHosts && mx.Records[0].Host != "" {
		r.terms = append(r.terms, mustTerm("mx"))
	}
	if len(a.Records) > 0 {
		r.terms = append(r.terms, mustTerm("a"))
	}
	r.terms = append(r.terms, mustTerm("~all"))
	r.note(
		"there is no record yet: this one authorises the domain's own hosts, as far as it has any, and has all " +
			"others softfail until every sender is known",
	)
	r.open = append(r.open,
		fmt.Sprintf("Which other services and servers send mail for %s? Each needs a term before ~all.", q.Domain))
	return r, nil
}

func (r *draft) text() string {
	texts := []string{version}
	for _, t := range r.terms {
		texts = append(texts, t.Text)
	}
	return strings.Join(texts, " ")
}

func (r *draft) note(format string, args ...any) {
	r.changes = append(r.changes, fmt.Sprintf(format, args...))
}

func (r *draft) clone() *draft {
	with := *r
	with.terms, with.changes = slices.Clone(r.terms), slices.Clone(r.changes)
	with.doubts, with.dead, with.open = slices.Clone(r.doubts), slices.Clone(r.dead), slices.Clone(r.open)
	return &with
}

// onlyPasses reports whether all mechanisms but all authorise: then their order
// does not matter.
func (r *draft) onlyPasses() bool {
	return !slices.ContainsFunc(r.terms,
		func(t Term) bool { return !t.Kind.Modifier() && t.Kind != All && t.Qualifier != Pass })
}

// prepend puts terms first, and deletes those to the right that say something
// else about the same network or domain.
func (r *draft) prepend(texts ...string) {
	var terms []Term
	for _, text := range texts {
		terms = append(terms, mustTerm(text))
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
