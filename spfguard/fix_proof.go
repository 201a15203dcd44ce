package spfguard

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// prove evaluates the result: for every egress address as RFC 7208 says and as
// Strict does, for whoever passes today, and for whoever the old record names
// to its reader.
func (c *Checker) prove(ctx context.Context, q FixQuery, r *draft, asMeant string, f *Fix) error {
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
	f.Worst = c.Worst(ctx, q.query(stranger4, f.After))
	var cut []netip.Addr
	if f.Before != "" && f.Changed() {
		if len(f.Delete) == 0 {
			lost, _, err := c.lost(ctx, q, f.Before, f.After, c.Check)
			if err != nil {
				return err
			}
			if len(lost) > 0 {
				return fmt.Errorf("%w without taking it from %s, which passes now", ErrNoFix, lost[0])
			}
		}
		lost, n, err := c.lost(ctx, q, asMeant, f.After, c.asRead)
		if err != nil {
			return err
		}
		f.Others, cut = n, lost
		for _, ip := range lost { // a permerror is of the limits, or in another's record, and not made here
			if ev := c.Check(ctx, q.query(ip, f.After)); ev.Result != PermError {
				return fmt.Errorf("%w: %s, which the record names, would not pass: %s", ErrNoFix, ip, ev.Explain())
			}
		}
	}
	f.Open = append(slices.Clone(r.open), c.openQuestions(ctx, q, f, cut)...)
	return nil
}

// openQuestions are about what a fix leaves as it is, because the answer is
// not in the record.
func (c *Checker) openQuestions(ctx context.Context, q FixQuery, f *Fix, cut []netip.Addr) []string {
	var open []string
	switch {
	case f.Worst.Lookups > maxLookups && f.Worst.Loop == "":
		f.Flatten = flatten(f.Worst.Root)
		var services []string
		for i := range f.Worst.Root.Steps {
			if st := &f.Worst.Root.Steps[i]; st.Term.Kind == Include {
				l, _ := st.cost()
				services = append(services, fmt.Sprintf("%s (%d)", st.Term.Text, l))
			}
		}
		text := fmt.Sprintf(
			"The record needs %d look-ups and 10 are allowed, so that senders named late in it get a permerror. "+
				"Which of these services still send: %s?",
			f.Worst.Lookups,
			strings.Join(services, ", "),
		)
		if len(cut) > 0 {
			text += fmt.Sprintf(" %s is one that does not pass.", cut[0])
		}
		open = append(open, text)
	case len(cut) > 0:
		open = append(
			open,
			fmt.Sprintf("%s is a sender that the record names and that does not pass. %s", cut[0],
				c.Check(ctx, q.query(cut[0], f.After)).Explain()),
		)
	}
	x := examine(f.After, q.Domain)
	x.judge()
	for _, found := range x.sorted() {
		switch found.Rule {
		case "net.private":
			open = append(open,
				fmt.Sprintf("From which public address does the mail of %s leave? %s.", found.Text, found.Message))
		case "net.wide":
			open = append(open, fmt.Sprintf("Which network is the client's own? %s.", found.Message))
		case "all.pass":
			open = append(
				open,
				fmt.Sprintf(
					"Which servers and services send for %s? %s lets the whole world send; once they are "+
						"listed, write ~all.",
					q.Domain,
					found.Text,
				),
			)
		}
	}
	if f.Changed() {
		for i := range f.Worst.Root.Steps {
			st := &f.Worst.Root.Steps[i]
			if (st.Term.Kind == A || st.Term.Kind == MX) && len(st.Missing) == 1 && st.Missing[0].Absent &&
				st.Missing[0].Name == st.Target {
				open = append(
					open,
					fmt.Sprintf("%s does not exist. Is that host gone, or is its name mistyped in %s?", st.Target,
						st.Term.Text),
				)
			}
		}
	}
	if victim, err := c.victim(ctx, q, f.After); err == nil && victim.IsValid() &&
		c.Check(ctx, q.query(victim, f.After)).Result == Pass {
		open = append(
			open,
			fmt.Sprintf(
				"%s passes by RFC 7208, and not at receivers that count every empty answer (pyspf, Mail::SPF): "+
					"move ip4:, ip6: and include: terms to the front.",
				victim,
			),
		)
	}
	return open
}

// lost returns addresses that pass under before, as judge sees it, and not
// under after, and how many pass under both.
func (c *Checker) lost(ctx context.Context, q FixQuery, before, after string,
	judge func(context.Context, Query) *Evaluation) (lost []netip.Addr, kept int, err error) {
	for _, ip := range c.samples(ctx, q, before) {
		if judge(ctx, q.query(ip, before)).Result != Pass {
			continue
		}
		switch ev := c.Check(ctx, q.query(ip, after)); ev.Result {
		case Pass:
			kept++
		case TempError:
			if ctx.Err() != nil {
				return nil, 0, ev.Err
			}
		default:
			lost = append(lost, ip)
		}
	}
	return lost, kept, nil
}

// samples are addresses that stand for everyone a record names.
func (c *Checker) samples(ctx context.Context, q FixQuery, record string) []netip.Addr {
	four := c.Worst(ctx, q.query(stranger4, record)).Root.samples()
	six := c.Worst(ctx, q.query(stranger6, record)).Root.samples()
	addrs := append(four, six...)
	slices.SortFunc(addrs, netip.Addr.Compare)
	addrs = slices.Compact(addrs)
	var few []netip.Addr
	for i := 0; i < len(addrs); i += 1 + len(addrs)/maxSamples {
		few = append(few, addrs[i])
	}
	return few
}

// victim is an address that a record names and that the limits of RFC 7208, or
// those of Strict, keep from passing; it is not valid when there is none. more
// are addresses of senders that are looked at too.
func (c *Checker) victim(ctx context.Context, q FixQuery, record string, more ...netip.Addr) (netip.Addr, error) {
	for _, stranger := range []netip.Addr{stranger4, stranger6} {
		worst := c.Worst(ctx, q.query(stranger, record))
		if worst.Empty <= maxVoids && worst.Lookups <= maxLookups {
			continue
		}
		for _, ip := range append(slices.Clone(more), c.samples(ctx, q, record)...) {
			if ip.Is4() != stranger.Is4() || c.asRead(ctx, q.query(ip, record)).Result != Pass {
				continue
			}
			if ev := c.Strict(ctx, q.query(ip, record)); ev.Result == PermError {
				return ip, nil
			}
			if ctx.Err() != nil {
				return netip.Addr{}, context.Cause(ctx)
			}
		}
	}
	return netip.Addr{}, nil
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
