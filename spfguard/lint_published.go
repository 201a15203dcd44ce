package spfguard

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
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
	var x *examination
	if record != "" {
		x = examine(record, domain)
		x.judgeLength()
	} else {
		ans, err := c.Resolver.TXT(ctx, domain)
		switch {
		case errors.Is(err, dns.ErrNXDomain):
			x = &examination{domain: domain, origin: []int{0}}
			x.add(Error, "domain.absent", 0, 0, domain+" does not exist (NXDOMAIN): receivers refuse mail from it", "correct the name, or have the domain registered and delegated")
			return "", x.sorted(), nil
		case !answered(err):
			return "", nil, err
		}
		x = examinePublished(ans.Records, domain)
		x.judgeAnswer(ctx, c, ans.Records)
		if x.original == "" {
			return "", x.sorted(), nil
		}
	}
	err = x.settle(ctx, c)
	x.judge()
	if dnsErr := x.judgeDNS(ctx, c, egress); err == nil {
		err = dnsErr
	}
	return x.original, x.sorted(), err
}

// pickPublished finds the SPF records among the TXT records of a name, or else
// what was meant as one. torn are further pieces of a record that was published
// in several.
func pickPublished(texts []string) (records, torn []string) {
	for _, text := range texts {
		if isSPF(text) {
			records = append(records, text)
		}
	}
	if len(records) == 0 {
		for _, text := range texts {
			if looksMeant(text) {
				records = append(records, text)
			}
		}
	}
	for _, text := range texts {
		if len(records) > 0 && !slices.Contains(records, text) && looksTorn(text) {
			torn = append(torn, text)
		}
	}
	return records, torn
}

// examinePublished examines the SPF record among the TXT records of a name.
func examinePublished(texts []string, domain string) *examination {
	records, torn := pickPublished(texts)
	if len(records) == 0 {
		x := &examination{domain: domain, origin: []int{0}}
		x.add(Warning, "record.none", 0, 0, domain+" has no SPF record", `add one: "enotify spf fix `+domain+`" writes it`)
		return x
	}
	x := examine(records[0], domain)
	for _, other := range records[1:] {
		message, remedy := fmt.Sprintf("there is a second record, %q: several are a permerror (RFC 7208 §4.5)", other), fmt.Sprintf("move its terms into the first, and delete the second: %q", other)
		if other == records[0] {
			message, remedy = "the record is there twice: several are a permerror (RFC 7208 §4.5)", "delete one of the two"
		}
		x.add(Error, "record.several", 0, len(x.text), message, remedy)
	}
	for _, other := range torn {
		x.add(Warning, "record.torn", 0, len(x.text), fmt.Sprintf("%q stands beside it as a TXT record of its own: without v=spf1 receivers do not read it", other),
			"move its terms into the record, as further strings of one TXT record, and delete it")
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
	q := Query{IP: stranger4, Domain: x.domain, Sender: "postmaster@" + x.domain, HELO: x.domain, Record: strings.Join(append([]string{version}, x.texts()...), " ")}
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
	x.judgeStrict(four, "IPv4")
	for _, ip := range egress {
		q.IP = ip.Unmap()
		if q.IP.Is6() {
			x.judgeStrict(six, "IPv6")
		}
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
			x.report(t, Error, "lookups.over", fmt.Sprintf("with this term the record needs %d terms that query the DNS, of at most %d (RFC 7208 §4.6.4): whoever matches none before it gets a permerror", worst.Lookups, maxLookups),
				"drop services that no longer send, or replace includes by the networks in them: the include with the most look-ups first")
		}
		if voids <= maxVoids && voids+v > maxVoids {
			x.report(t, Error, "voids.over", fmt.Sprintf("with this term %d terms have an empty answer, of at most %d (RFC 7208 §4.6.4)", voids+v, maxVoids), "delete terms whose names no longer exist")
		}
		lookups, voids = lookups+l, voids+v
	}
	if worst.Loop == "" && worst.Lookups >= nearLookups && worst.Lookups <= maxLookups {
		x.add(Warning, "lookups.near", 0, len(x.text), fmt.Sprintf("the record needs %d of %d look-ups: one more in a record it includes breaks it", worst.Lookups, maxLookups),
			"drop an include, or replace one by its networks, before someone else's change does it for you")
	}
}

// judgeStrict finds records that pass by RFC 7208 and break at receivers that
// count empty answers by query (see Strict).
func (x *examination) judgeStrict(worst Cost, family string) {
	const rule = "voids.strict"
	if worst.Empty <= maxVoids || worst.Voids > maxVoids || slices.ContainsFunc(x.findings, func(f Finding) bool { return f.Rule == rule }) {
		return
	}
	x.add(Warning, rule, 0, len(x.text), fmt.Sprintf("over %s, %d queries have an empty answer. RFC 7208 counts the terms (%d of %d), but some receivers count queries (pyspf, Mail::SPF), and get a permerror",
		family, worst.Empty, worst.Voids, maxVoids), "move ip4:, ip6: and include: terms to the front: who matches there is not affected")
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
		x.report(t, Error, string(t.Kind)+".loop", fmt.Sprintf("%s is a loop, since it leads back to %s: receivers go round until the limit of %d look-ups, and get a permerror", t.Text, four.Target, maxLookups), remedy)
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
		x.report(t, Error, kind+".none", fmt.Sprintf("%s %s: a permerror for whoever gets there (RFC 7208 §5.2, §6.1)", n.Domain, n.lacks()), remedy)
		return
	case n.Result == PermError && len(n.Steps) == 0:
		x.report(t, Error, kind+".broken", n.Err.Error(), "tell the owner of "+n.Domain+"; until then it is a permerror for whoever gets there")
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
		x.report(t, Error, kind+".broken", fmt.Sprintf("in the record of %s, %s %s", owner, deep.Term.Text, fault), "tell the owner of "+owner+"; until then it is a permerror for whoever gets there")
	}
}

// brokenBelow finds the first term at or below n that is a permerror, and in
// whose record it stands.
func brokenBelow(n *Node) (deep *Step, owner string) {
	for i := range n.Steps {
		st := &n.Steps[i]
		switch {
		case st.Node == nil && st.Outcome == Failed && severity(st.Err) == PermError, st.Node != nil && (st.Node.Result == None || st.Node.Result == PermError && len(st.Node.Steps) == 0):
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
		x.report(t, Warning, "voids.host", fmt.Sprintf("%s, an MX host of %s, %s", dead[0].Name, four.Target, dead[0].lacks("an address")), remedy)
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
		if slices.ContainsFunc(six.Missing, func(other Missing) bool { return strings.EqualFold(other.Name, m.Name) }) {
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
			who = fmt.Sprintf("the MX hosts of %s (%s) have", a.Target, strings.Join(a.Hosts[:min(len(a.Hosts), 3)], ", "))
		}
		remedy := "add a term for the address"
		if NotPublic(egress) == "" {
			remedy = fmt.Sprintf("add %q", term+egress.String())
		}
		x.report(&x.terms[kept[i]], Warning, rule, fmt.Sprintf("%s %s addresses only, so that the term does not let %s send", who, family, egress), remedy)
	}
}
