package spfguard

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// A FixQuery is what Fix is asked.
type FixQuery struct {
	Domain  string
	Record  string       // if not "", repaired in place of what Domain publishes
	Egress  []netip.Addr // that must pass
	Sender  string       // for macros; "" is postmaster of Domain
	HELO    string       // for macros
	Include string       // a domain whose record lists the egress; "" adds them as networks
}

// A Fix is the smallest change that makes every egress address pass.
type Fix struct {
	Domain  string
	Before  string        // the record as it is; "" if there is none
	After   string        // the record to publish
	Changes []string      // what was changed and why, a sentence each
	Flatten []string      // include terms to replace by networks, the costliest first, where the record exceeds ten lookups
	Proof   []*Evaluation // of After, one for each egress address
	Others  int           // addresses of other senders that pass under After as they did before
	Worst   Cost          // of After
}

const (
	maxFix     = time.Minute // for all evaluations that a fix needs
	maxSamples = 200         // addresses that stand for the other senders
)

// Changed reports whether there is anything to publish.
func (f *Fix) Changed() bool { return f.Before != f.After }

// ErrNoFix is the error when no change was found under which all pass.
var ErrNoFix = errors.New("no change makes every address pass")

// Fix looks for the smallest change to the record of q.Domain with which every
// egress address passes, and proves it by evaluating the changed record in
// place of the published one. What makes the record a permerror is repaired;
// whoever passed before passes still. Its error wraps ErrNoFix, or is
// temporary.
func (c *Checker) Fix(ctx context.Context, q FixQuery) (*Fix, error) {
	q.Domain = ASCII(q.Domain)
	if !isDomain(q.Domain) {
		return nil, fmt.Errorf("%q is no domain name of two or more labels", q.Domain)
	}
	if q.Sender == "" {
		q.Sender = "postmaster@" + q.Domain
	}
	ctx, cancel := context.WithTimeoutCause(ctx, maxFix, fmt.Errorf("looking for a fix took longer than %v", maxFix))
	defer cancel()
	r, err := c.repair(ctx, q)
	if err != nil {
		return nil, err
	}
	missing, err := c.notPassing(ctx, q, r.text())
	if err != nil {
		return nil, err
	}
	if len(missing) > 0 {
		if err := c.authorise(ctx, q, r, missing); err != nil {
			return nil, err
		}
	}
	f := &Fix{Domain: q.Domain, Before: r.before, After: r.text(), Changes: r.changes}
	if err := c.prove(ctx, q, r, f); err != nil {
		return nil, err
	}
	if ctx.Err() != nil { // then the proof is not complete
		return nil, context.Cause(ctx)
	}
	return f, nil
}

func (q *FixQuery) query(ip netip.Addr, record string) Query {
	return Query{IP: ip, Sender: q.Sender, HELO: q.HELO, Domain: q.Domain, Record: record}
}

// notPassing returns the egress addresses that record does not authorise.
func (c *Checker) notPassing(ctx context.Context, q FixQuery, record string) ([]netip.Addr, error) {
	var missing []netip.Addr
	for _, ip := range q.Egress {
		ev := c.Check(ctx, q.query(ip, record))
		if ev.Result == TempError && ctx.Err() != nil {
			return nil, ev.Err
		}
		if ev.Result != Pass {
			missing = append(missing, ip.Unmap())
		}
	}
	return missing, nil
}

// authorise puts what is missing at the very left: there it is found before
// any lookup is made, and before an error to its right.
func (c *Checker) authorise(ctx context.Context, q FixQuery, r *repair, missing []netip.Addr) error {
	if q.Include != "" {
		with := r.clone()
		with.prepend("include:" + ASCII(q.Include))
		why, err := c.refused(ctx, q, r, with)
		if err != nil {
			return err
		}
		if why == "" {
			with.note("added include:%s, whose record lists the addresses and can change without this one", ASCII(q.Include))
			*r = *with
			return nil
		}
		r.note("include:%s was not used: %s", ASCII(q.Include), why)
	}
	nets := aggregate(missing)
	r.prepend(networkTerms("", nets)...)
	r.note("added %s, at the front: there a network costs no lookup, and no error in another term can cut it off", strings.Join(networkTerms("", nets), " "))
	return nil
}

// refused says why with, which includes the operator's record, is no good in
// place of r.
func (c *Checker) refused(ctx context.Context, q FixQuery, r, with *repair) (string, error) {
	missing, err := c.notPassing(ctx, q, with.text())
	if err != nil {
		return "", err
	}
	if len(missing) > 0 {
		return fmt.Sprintf("with it %s would still not pass", missing[0]), nil
	}
	worst := c.Worst(ctx, q.query(q.Egress[0], with.text()))
	if worst.Over() {
		return fmt.Sprintf("with it the record would need %d lookups of 10", worst.Lookups), nil
	}
	if lost, _ := c.lost(ctx, q, r.text(), with.text()); lost.IsValid() {
		return fmt.Sprintf("with it %s would no longer pass", lost), nil
	}
	return "", nil
}

// prove evaluates the result for every egress address and for the others.
func (c *Checker) prove(ctx context.Context, q FixQuery, r *repair, f *Fix) error {
	for _, ip := range q.Egress {
		ev := c.Check(ctx, q.query(ip, f.After))
		f.Proof = append(f.Proof, ev)
		if ev.Result == TempError {
			return fmt.Errorf("%s: %w", ip, ev.Err)
		}
		if ev.Result != Pass {
			return fmt.Errorf("%w: %s", ErrNoFix, ev.Explain())
		}
	}
	if r.before != "" && f.Changed() {
		lost, n := c.lost(ctx, q, r.before, f.After)
		if f.Others = n; lost.IsValid() {
			return fmt.Errorf("%w without taking it from %s, which passes now", ErrNoFix, lost)
		}
	}
	f.Worst = c.Worst(ctx, q.query(stranger4, f.After))
	if f.Worst.Lookups > maxLookups {
		f.Flatten = flatten(f.Worst.Root)
	}
	return nil
}

// lost returns an address that passes under before and not under after, and
// how many pass under both.
func (c *Checker) lost(ctx context.Context, q FixQuery, before, after string) (netip.Addr, int) {
	four := c.Worst(ctx, q.query(stranger4, before)).Root.samples()
	six := c.Worst(ctx, q.query(stranger6, before)).Root.samples()
	addrs := append(four, six...)
	slices.SortFunc(addrs, netip.Addr.Compare)
	addrs = slices.Compact(addrs)
	n := 0
	for i := 0; i < len(addrs); i += 1 + len(addrs)/maxSamples {
		ip := addrs[i]
		if c.Check(ctx, q.query(ip, before)).Result != Pass {
			continue
		}
		switch c.Check(ctx, q.query(ip, after)).Result {
		case Pass:
			n++
		case TempError:
		default:
			return ip, n
		}
	}
	return netip.Addr{}, n
}

// flatten lists the includes of a record, those with most lookups first, until
// the record without them is within the limit.
func flatten(root *Node) []string {
	type costly struct {
		text    string
		lookups int
	}
	var includes []costly
	total := 0
	for i := range root.Steps {
		st := &root.Steps[i]
		l, _ := st.cost()
		total += l
		if st.Term.Kind == Include {
			includes = append(includes, costly{st.Term.Text, l})
		}
	}
	slices.SortStableFunc(includes, func(a, b costly) int { return cmp.Compare(b.lookups, a.lookups) })
	var texts []string
	for _, in := range includes {
		if total <= maxLookups {
			break
		}
		texts = append(texts, in.text)
		total -= in.lookups
	}
	return texts
}
