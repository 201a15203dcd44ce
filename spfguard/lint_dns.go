package spfguard

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// judgeDNS judges what the terms lead to.
func (x *examination) judgeDNS(ctx context.Context, c *Checker, egress []netip.Addr) error {
	q := Query{
		IP:     stranger4,
		Domain: x.domain,
		Sender: "postmaster@" + x.domain,
		HELO:   x.domain,
		Record: strings.Join(append([]string{version}, x.texts()...), " "),
	}
	four := c.Worst(ctx, q)
	q.IP = stranger6
	six := c.Worst(ctx, q)
	kept := x.kept()
	if len(four.Root.Steps) != len(kept) || len(six.Root.Steps) != len(kept) {
		return cmp.Or(four.Err, six.Err) // a domain that cannot be asked for
	}
	x.judgeCost(four, kept)
	for i, at := range kept {
		x.judgeStep(ctx, c, &x.terms[at], &four.Root.Steps[i], &six.Root.Steps[i])
	}
	x.judgeStrict(ctx, c, q.Record, egress)
	for _, ip := range egress {
		q.IP = ip.Unmap()
		if c.Check(ctx, q).Result != Pass {
			x.judgeFamilies(kept, four.Root, six.Root, q.IP)
		}
	}
	return cmp.Or(four.Err, six.Err)
}

// judgeCost finds the terms that exceed the limits, or come near.
func (x *examination) judgeCost(worst Cost, kept []int) {
	var lookups, voids int
	for i := range worst.Root.Steps {
		st, t := &worst.Root.Steps[i], &x.terms[kept[i]]
		l, v := st.cost()
		if lookups <= maxLookups && lookups+l > maxLookups {
			x.report(
				t,
				Error,
				"lookups.over",
				fmt.Sprintf(
					"with this term the record needs %d terms that query the DNS, of at most %d (RFC 7208 "+
						"§4.6.4): an address that matches no term before it gets a permerror",
					worst.Lookups,
					maxLookups,
				),
				"drop services that no longer send, or replace includes by the networks in them: the include "+
					"with the most look-ups first",
			)
		}
		if voids <= maxVoids && voids+v > maxVoids {
			x.report(
				t,
				Error,
				"voids.over",
				fmt.Sprintf("with this term %d terms have an empty answer, of at most %d (RFC 7208 §4.6.4)",
					voids+v, maxVoids),
				"delete terms whose names no longer exist",
			)
		}
		lookups, voids = lookups+l, voids+v
	}
	if worst.Loop == "" && worst.Lookups >= nearLookups && worst.Lookups <= maxLookups {
		x.add(
			Warning,
			"lookups.near",
			0,
			len(x.text),
			fmt.Sprintf("the record needs %d of %d look-ups: one more in a record it includes breaks it",
				worst.Lookups, maxLookups),
			"drop an include, or replace one by its networks, before someone else's change does it for you",
		)
	}
}

// judgeStrict finds records under which a sender passes by RFC 7208 and not at
// receivers that count empty answers by query (see Strict).
func (x *examination) judgeStrict(ctx context.Context, c *Checker, record string, egress []netip.Addr) {
	q := FixQuery{Domain: x.domain, Sender: "postmaster@" + x.domain, HELO: x.domain}
	victim, err := c.victim(ctx, q, record, egress...)
	if err != nil || !victim.IsValid() || c.Check(ctx, q.query(victim, record)).Result != Pass {
		return
	}
	x.add(
		Warning,
		"voids.strict",
		0,
		len(x.text),
		fmt.Sprintf(
			"some receivers (pyspf, Mail::SPF) count every empty answer, where RFC 7208 counts terms, and get a "+
				"permerror before they find that %s may send",
			victim,
		),
		"move ip4:, ip6: and include: terms to the front",
	)
}

// cost is what a step adds to lookups and voids, with all that it leads to.
func (st *Step) cost() (lookups, voids int) {
	if st.Outcome == NotReached {
		return 0, 0
	}
	if st.Term.Kind.Queries() {
		lookups = 1
	}
	if st.Void {
		voids = 1
	}
	if st.Node != nil {
		for i := range st.Node.Steps {
			l, v := st.Node.Steps[i].cost()
			lookups, voids = lookups+l, voids+v
		}
	}
	return lookups, voids
}

// judgeStep finds names that do not exist and records that are broken. four and
// six are what the term asks for over IPv4 and over IPv6.
func (x *examination) judgeStep(ctx context.Context, c *Checker, t *meant, four, six *Step) {
	switch {
	case four.Loop:
		remedy := "delete it: what it leads to is this record"
		if !strings.EqualFold(four.Target, x.domain) {
			remedy = "delete it, or tell the owner of " + four.Target
		}
		x.report(
			t,
			Error,
			string(t.Kind)+".loop",
			fmt.Sprintf(
				"%s is a loop, since it leads back to %s: receivers go round until the limit of %d look-ups, "+
					"and get a permerror",
				t.Text,
				four.Target,
				maxLookups,
			),
			remedy,
		)
	case four.Node == nil && four.Outcome == Failed && severity(four.Err) == PermError:
		x.report(t, Error, "term.fails", four.Err.Error(), "correct or delete the term")
	case four.Node != nil:
		x.judgeNode(ctx, c, t, four.Node)
	case !t.Spec.Macros():
		x.judgeHosts(ctx, c, t, four, six)
	}
}

// judgeNode finds faults in the record that include or redirect leads to.
func (x *examination) judgeNode(ctx context.Context, c *Checker, t *meant, n *Node) {
	kind := string(t.Kind)
	switch {
	case n.Result == None:
		remedy := "ask who was meant; delete it only if nobody sends through " + n.Domain + " any more"
		switch h, err := c.holdings(ctx, n.Domain); {
		case err != nil:
		case serviceNear(n.Domain) != "":
			remedy = fmt.Sprintf("was %q meant?", kind+":"+serviceNear(n.Domain))
		case len(h.addrs) > 0 && len(h.hosts) == 0:
			remedy = fmt.Sprintf("%s is a host: write %q", n.Domain, "a:"+n.Domain)
		}
		x.report(t, Error, kind+".none",
			fmt.Sprintf("%s %s: a permerror at receivers that get there (RFC 7208 §5.2, §6.1)", n.Domain, n.lacks()),
			remedy)
		return
	case n.Result == PermError && len(n.Steps) == 0:
		x.report(t, Error, kind+".broken", n.Err.Error(),
			"tell the owner of "+n.Domain+"; until then it is a permerror at receivers that get there")
		return
	}
	if deep, owner := brokenBelow(n); deep != nil {
		fault := "leads to no usable record"
		switch {
		case deep.Loop:
			fault = fmt.Sprintf("is a loop, since it leads back to %s", deep.Target)
		case deep.Node == nil:
			fault = "fails: " + strings.TrimPrefix(deep.Err.Error(), owner+": "+deep.Term.Text+": ")
		}
		x.report(t, Error, kind+".broken", fmt.Sprintf("in the record of %s, %s %s", owner, deep.Term.Text, fault),
			"tell the owner of "+owner+"; until then it is a permerror at receivers that get there")
	}
}

// brokenBelow finds the first term at or below n that is a permerror, and in
// whose record it stands.
func brokenBelow(n *Node) (deep *Step, owner string) {
	for i := range n.Steps {
		st := &n.Steps[i]
		switch {
		case st.Node == nil && st.Outcome == Failed && severity(st.Err) == PermError,
			st.Node != nil && (st.Node.Result == None || st.Node.Result == PermError && len(st.Node.Steps) == 0):
			return st, n.Domain
		case st.Node != nil:
			if deep, owner := brokenBelow(st.Node); deep != nil {
				return deep, owner
			}
		}
	}
	return nil, ""
}

// judgeHosts finds names without an address. One that has addresses of one
// family alone is no fault: the other family is judgeFamilies' business.
func (x *examination) judgeHosts(ctx context.Context, c *Checker, t *meant, four, six *Step) {
	if t.Kind == PTR || !four.Void || !six.Void {
		return
	}
	dead := missingIn(four, six)
	switch {
	case len(dead) == 0:
	case t.Kind == MX && dead[0].Type != "MX":
		remedy := "tell the owner of " + four.Target
		if sameOrganisation(four.Target, x.domain) {
			remedy = "give it an address, or delete its MX record"
		}
		x.report(t, Warning, "voids.host",
			fmt.Sprintf("%s, an MX host of %s, %s", dead[0].Name, four.Target, dead[0].lacks("an address")), remedy)
	default:
		remedy := "correct the name, or delete the term"
		h, err := c.holdings(ctx, four.Target)
		switch {
		case t.Spec.Empty() && t.Kind == MX:
			remedy = "delete the term, or give the domain an MX record"
		case t.Spec.Empty():
			remedy = "delete the term, or give the domain an address"
		case err == nil && len(h.records) > 0 && len(h.addrs) == 0:
			remedy = fmt.Sprintf("it has an SPF record: write %q", "include:"+four.Target)
		case err == nil && t.Kind == MX && len(h.addrs) > 0:
			remedy = fmt.Sprintf("it is a host: write %q, or delete the term", "a:"+four.Target)
		}
		what := "an address"
		if t.Kind == MX {
			what = "an MX record"
		}
		x.report(t, Warning, "voids.name", four.Target+" "+dead[0].lacks(what), remedy)
	}
}

// missingIn are the names that have no address in either family.
func missingIn(four, six *Step) []Missing {
	var dead []Missing
	for _, m := range four.Missing {
		if slices.ContainsFunc(six.Missing,
			func(other Missing) bool { return strings.EqualFold(other.Name, m.Name) }) {
			dead = append(dead, m)
		}
	}
	return dead
}

func (m Missing) lacks(what string) string {
	if m.Absent {
		return "does not exist"
	}
	return "has no " + strings.TrimPrefix(strings.TrimPrefix(what, "an "), "a ")
}

// judgeFamilies finds hosts without an address of the family of an egress
// address that does not pass.
func (x *examination) judgeFamilies(kept []int, four, six *Node, egress netip.Addr) {
	rule, has, lacks, term := "address.ipv4only", four, six, "ip6:"
	family := "IPv4"
	if egress.Is4() {
		rule, has, lacks, term, family = "address.ipv6only", six, four, "ip4:", "IPv6"
	}
	for i := range has.Steps {
		a, b := &has.Steps[i], &lacks.Steps[i]
		if a.Term.Kind != A && a.Term.Kind != MX || len(a.Addrs) == 0 || len(b.Addrs) > 0 || b.Err != nil {
			continue
		}
		who := a.Target + " has"
		if a.Term.Kind == MX {
			who = fmt.Sprintf("the MX hosts of %s (%s) have", a.Target,
				strings.Join(a.Hosts[:min(len(a.Hosts), 3)], ", "))
		}
		remedy := "add a term for the address"
		if NotPublic(egress) == "" {
			remedy = fmt.Sprintf("add %q", term+egress.String())
		}
		x.report(&x.terms[kept[i]], Warning, rule,
			fmt.Sprintf("%s %s addresses only, so that the term does not let %s send", who, family, egress), remedy)
	}
}
