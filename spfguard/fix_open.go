package spfguard

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// openQuestions are about what a fix leaves as it is, because the answer is
// not in the record. cut are senders that the record names and that do not pass.
func (c *Checker) openQuestions(ctx context.Context, q FixQuery, f *Fix, cut []netip.Addr) []string {
	var open []string
	switch {
	case f.Worst.Lookups > maxLookups && f.Worst.Loop == "":
		f.Flatten = flatten(f.Worst.Root)
		open = append(open, tooMany(f, cut))
	case len(cut) > 0:
		open = append(open, fmt.Sprintf("%s is a sender that the record names and that does not pass. %s",
			cut[0], c.Check(ctx, q.query(cut[0], f.After)).Explain()))
	}
	x := examine(f.After, q.Domain)
	x.judge()
	for _, found := range x.sorted() {
		switch found.Rule {
		case "net.private":
			open = append(open,
				fmt.Sprintf("From which public address does the mail of %s leave? %s.", found.Text, found.Message))
		case "ptr":
			open = append(
				open,
				fmt.Sprintf("Which hosts does %s stand for? Some receivers ignore it: name them instead.",
					found.Text),
			)
		case "net.wide":
			open = append(open, fmt.Sprintf("Which network is the client's own? %s.", found.Message))
		case "all.pass":
			open = append(open, fmt.Sprintf("Which servers and services send for %s? %s lets the whole world send; "+
				"once they are listed, write ~all.", q.Domain, found.Text))
		}
	}
	if f.Changed() {
		for i := range f.Worst.Root.Steps {
			st := &f.Worst.Root.Steps[i]
			if (st.Term.Kind == A || st.Term.Kind == MX) && len(st.Missing) == 1 && st.Missing[0].Absent &&
				st.Missing[0].Name == st.Target {
				open = append(open,
					fmt.Sprintf("%s does not exist. Is that host gone, or is its name mistyped in %s?",
						st.Target, st.Term.Text))
			}
		}
	}
	victim, err := c.victim(ctx, q, f.After)
	if err == nil && victim.IsValid() && c.Check(ctx, q.query(victim, f.After)).Result == Pass {
		open = append(open, fmt.Sprintf("%s passes by RFC 7208, and not at receivers that count every empty answer "+
			"(pyspf, Mail::SPF): move ip4:, ip6: and include: terms to the front.", victim))
	}
	return open
}

// tooMany asks which of the services in a record that needs too many look-ups
// could go, and says what the costliest ones stand for.
func tooMany(f *Fix, cut []netip.Addr) string {
	var services, networks []string
	for i := range f.Worst.Root.Steps {
		st := &f.Worst.Root.Steps[i]
		if st.Term.Kind != Include {
			continue
		}
		lookups, _ := st.cost()
		services = append(services, fmt.Sprintf("%s (%d)", st.Term.Text, lookups))
		if st.Node == nil || !slices.Contains(f.Flatten, st.Term.Text) {
			continue
		}
		if nets := networksOf(st.Node); len(nets) > 0 && len(nets) <= maxInline {
			networks = append(networks, fmt.Sprintf(" %s stands for %s today: in its place these cost no look-up, "+
				"and have to follow that service's changes.", st.Term.Text, strings.Join(networkTerms("", nets), " ")))
		}
	}
	text := fmt.Sprintf("The record needs %d look-ups and 10 are allowed, so that senders named late in it get a "+
		"permerror. Which of these services still send: %s?", f.Worst.Lookups, strings.Join(services, ", "))
	text += strings.Join(networks, "")
	if len(cut) > 0 {
		text += fmt.Sprintf(" %s is one that does not pass.", cut[0])
	}
	return text
}

// networksOf are the networks that a record stands for, if it has nothing else;
// nil if it has.
func networksOf(n *Node) []netip.Prefix {
	var nets []netip.Prefix
	for i := range n.Steps {
		st := &n.Steps[i]
		switch {
		case st.Term.Kind == All && st.Term.Qualifier != Pass || st.Term.Kind == Exp || st.Term.Kind == Unknown:
		case (st.Term.Kind == IP4 || st.Term.Kind == IP6) && st.Term.Qualifier == Pass:
			nets = append(nets, st.Term.Net.Masked())
		case (st.Term.Kind == Include && st.Term.Qualifier == Pass || st.Term.Kind == Redirect) && st.Node != nil:
			more := networksOf(st.Node)
			if more == nil {
				return nil
			}
			nets = append(nets, more...)
		default:
			return nil
		}
	}
	slices.SortFunc(nets, func(a, b netip.Prefix) int { return a.Addr().Compare(b.Addr()) })
	return slices.Compact(nets)
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
