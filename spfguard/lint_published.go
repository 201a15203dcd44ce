package spfguard

import (
	"context"
	"fmt"
	"net/netip"
	"strings"

	"enotify/spfguard/dns"
)

// How much of the limits a record may use before it is said to be near them,
// and how large the TXT records of a name may grow (§3.4).
const (
	nearLookups = 9
	maxAnswer   = 450
)

// oldTypes asks for the SPF type (99) that RFC 7208 §3.1 withdrew.
// *dns.Resolver can; a Resolver that cannot leaves the question open.
type oldTypes interface {
	SPF(ctx context.Context, name string) (dns.Answer[string], error)
}

// Lint says what is wrong with the record that domain publishes, or with
// record as if domain published it, for a sender that uses the addresses
// egress. It returns the record too. Its error is temporary: then findings may
// be missing.
func (c *Checker) Lint(ctx context.Context, domain, record string, egress ...netip.Addr) (text string, found []Finding, err error) {
	domain = ASCII(domain)
	ctx, cancel := c.limit(ctx)
	defer cancel()
	if record != "" {
		x := examine(record, domain)
		x.judgeLength()
		err := x.judgeDNS(ctx, c, egress)
		return record, x.sorted(), err
	}
	ans, err := c.Resolver.TXT(ctx, domain)
	if !answered(err) {
		return "", nil, err
	}
	x := examinePublished(ans.Records, domain)
	x.judgeAnswer(ctx, c, ans.Records)
	if !isSPF(x.original) {
		return x.original, x.sorted(), nil
	}
	err = x.judgeDNS(ctx, c, egress)
	return x.original, x.sorted(), err
}

// examinePublished picks the SPF record out of the TXT records of a name, or
// what was meant to be one.
func examinePublished(texts []string, domain string) *examination {
	var records []string
	for _, text := range texts {
		if isSPF(text) {
			records = append(records, text)
		}
	}
	for _, text := range texts {
		if len(records) == 0 && (nearVersion.MatchString(text) || strings.Contains(strings.ToLower(text), version)) {
			return examine(text, domain)
		}
	}
	if len(records) == 0 {
		x := &examination{domain: domain, origin: []int{0}}
		x.add(Warning, "record.none", 0, 0, domain+" has no SPF record", `publish one: see "spf fix" and "spf build"`)
		return x
	}
	x := examine(records[0], domain)
	for _, other := range records[1:] {
		x.add(Error, "record.several", 0, len(x.text), fmt.Sprintf("there is a second record, %q: several are a permerror (RFC 7208 §4.5)", other),
			"merge them into one")
	}
	return x
}

// judgeAnswer looks at what stands beside the record.
func (x *examination) judgeAnswer(ctx context.Context, c *Checker, texts []string) {
	size := len(x.domain)
	for _, text := range texts {
		size += len(text)
		if strings.HasPrefix(strings.ToLower(text), "spf2.0/") {
			x.add(Info, "record.senderid", 0, 0, fmt.Sprintf("%q is of Sender ID, which no one uses any more (RFC 6652 was its last trace)", text), "delete it")
		}
	}
	if size > maxAnswer {
		x.add(Warning, "length.answer", 0, len(x.text), fmt.Sprintf("the TXT records of %s hold %d octets: over %d the answer may not fit into one UDP packet (RFC 7208 §3.4)", x.domain, size, maxAnswer),
			"delete TXT records that no one needs, or move networks into an included record")
	}
	if old, ok := c.Resolver.(oldTypes); ok {
		if ans, err := old.SPF(ctx, x.domain); err == nil && len(ans.Records) > 0 {
			x.add(Info, "record.type99", 0, 0, "there is a record of the old type SPF (99), which receivers do not ask for (RFC 7208 §3.1)", "delete it")
		}
	}
}

// judgeDNS judges what the terms lead to.
func (x *examination) judgeDNS(ctx context.Context, c *Checker, egress []netip.Addr) error {
	q := Query{IP: stranger4, Domain: x.domain, Sender: "postmaster@" + x.domain, HELO: x.domain, Record: x.original}
	worst := c.Worst(ctx, q)
	x.judgeCost(worst)
	for i := range worst.Root.Steps {
		x.judgeStep(&worst.Root.Steps[i])
	}
	if six := firstIPv6(egress); six.IsValid() {
		q.IP = stranger6
		x.judgeFamilies(worst.Root, c.Worst(ctx, q).Root, six)
	}
	return worst.Err
}

func firstIPv6(addrs []netip.Addr) netip.Addr {
	for _, a := range addrs {
		if a.Unmap().Is6() {
			return a
		}
	}
	return netip.Addr{}
}

// judgeCost finds the terms that exceed the limits, or come near.
func (x *examination) judgeCost(worst Cost) {
	var lookups, voids int
	for i := range worst.Root.Steps {
		st := &worst.Root.Steps[i]
		l, v := st.cost()
		if lookups <= maxLookups && lookups+l > maxLookups {
			x.atStep(st, Error, "lookups.over", fmt.Sprintf("with this term the record needs %d terms that query the DNS, of at most %d (RFC 7208 §4.6.4): whoever matches none before it gets a permerror", worst.Lookups, maxLookups),
				"flatten includes into networks, or drop services that no longer send: the include with the most lookups first")
		}
		if voids <= maxVoids && voids+v > maxVoids {
			x.atStep(st, Error, "voids.over", fmt.Sprintf("with this term %d terms have an empty answer, of at most %d (RFC 7208 §4.6.4)", voids+v, maxVoids), "delete terms whose names no longer exist")
		}
		lookups, voids = lookups+l, voids+v
	}
	if worst.Lookups >= nearLookups && worst.Lookups <= maxLookups {
		x.add(Warning, "lookups.near", 0, len(x.text), fmt.Sprintf("the record needs %d of %d lookups: one more in a record it includes breaks it", worst.Lookups, maxLookups),
			"flatten or drop an include before someone else's change does it for you")
	}
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

// judgeStep finds names that do not exist and records that are broken.
func (x *examination) judgeStep(st *Step) {
	if st.Void && st.Term.Kind != PTR && !st.Term.Spec.Macros() {
		x.atStep(st, Warning, "voids.name", missing(st), "delete the term, or correct the name")
	}
	if st.Node == nil {
		if st.Outcome == Failed && severity(st.Err) == PermError {
			x.atStep(st, Error, "term.fails", st.Err.Error(), "correct or delete the term")
		}
		return
	}
	switch {
	case st.Node.Result == None:
		x.atStep(st, Error, string(st.Term.Kind)+".none", fmt.Sprintf("%s has no SPF record: a permerror for whoever gets there (RFC 7208 §5.2, §6.1)", st.Target), "delete the term, or correct the name")
	case st.Node.Result == PermError && len(st.Node.Steps) == 0:
		x.atStep(st, Error, string(st.Term.Kind)+".broken", st.Node.Err.Error(), "tell the owner of "+st.Target+"; until then it is a permerror for whoever gets there")
	}
	for i := range st.Node.Steps {
		if deep := &st.Node.Steps[i]; deep.Node != nil && (deep.Node.Result == None || deep.Node.Result == PermError && len(deep.Node.Steps) == 0) {
			x.atStep(st, Error, string(st.Term.Kind)+".broken", fmt.Sprintf("in the record of %s, %s leads to no usable record", st.Node.Domain, deep.Term.Text), "tell the owner of "+st.Node.Domain)
		}
	}
}

// missing says what a term with an empty answer asked for in vain.
func missing(st *Step) string {
	switch {
	case st.Term.Kind == MX && len(st.Hosts) > 0:
		return fmt.Sprintf("not every MX host of %s has an IPv4 address", st.Target)
	case st.Term.Kind == MX:
		return fmt.Sprintf("%s has no MX record", st.Target)
	default:
		return fmt.Sprintf("%s has no IPv4 address", st.Target)
	}
}

// judgeFamilies finds hosts without IPv6 addresses, where an egress has one.
func (x *examination) judgeFamilies(four, six *Node, egress netip.Addr) {
	for i := range four.Steps {
		if i >= len(six.Steps) {
			return
		}
		a, b := &four.Steps[i], &six.Steps[i]
		if (a.Term.Kind == A || a.Term.Kind == MX) && len(a.Addrs) > 0 && len(b.Addrs) == 0 && b.Err == nil {
			x.atStep(a, Warning, "address.ipv4only", fmt.Sprintf("%s resolves to IPv4 addresses only, and mail is sent from %s too", a.Target, egress), "add an ip6: term for the address")
		}
	}
}

// atStep is add for a step of the record itself.
func (x *examination) atStep(st *Step, s Severity, rule, message, remedy string) {
	t := st.Term
	x.findings = append(x.findings, Finding{Rule: rule, Severity: s, Pos: t.Pos, End: t.Pos + len(t.Text), Text: t.Text, Message: message, Remedy: remedy})
}
