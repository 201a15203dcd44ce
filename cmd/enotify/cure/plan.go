package cure

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"enotify/cmd/enotify/dmarc"
	"enotify/spfguard"
)

// A Change is a record to be added, in place of others where there are any.
type Change struct {
	Record
	Delete []string // TXT records at the name that it replaces, in one piece each
	Keep   []string // TXT records at the name that stay as they are
}

// A Plan is all that a client should change in the DNS.
type Plan struct {
	Domain  string // of the client
	Changes []Change
	Egress  []netip.Addr
}

// NewPlan parts lines of a zone file into records, and asks the DNS what else is at their names: a
// form that sets all records of a name has to repeat the others.
func NewPlan(ctx context.Context, resolver spfguard.Resolver, domain string, egress []netip.Addr, lines []string) (Plan,
	error) {
	p := Plan{Domain: domain, Egress: egress}
	for _, line := range lines {
		r, err := Parse(line)
		if err != nil {
			return p, err
		}
		if slices.ContainsFunc(p.Changes, func(c Change) bool { return c.Record == r }) {
			continue
		}
		c := Change{Record: r}
		if r.Type == "TXT" {
			there, err := resolver.TXT(ctx, r.Name)
			if err == nil {
				for _, text := range there.Records {
					if sameKind(text, r.Value) {
						c.Delete = append(c.Delete, text)
					} else {
						c.Keep = append(c.Keep, text)
					}
				}
			}
		}
		p.Changes = append(p.Changes, c)
	}
	return p, nil
}

// sameKind reports whether one TXT record takes the place of another: of SPF, DKIM and
// DMARC a name has one.
func sameKind(a, b string) bool {
	for _, kind := range []string{"v=spf1", "v=dkim1", "v=dmarc1"} {
		if strings.HasPrefix(strings.ToLower(a), kind) && strings.HasPrefix(strings.ToLower(b), kind) {
			return true
		}
	}
	return false
}

// spf is the change of the client's SPF record; nil when it needs none.
func (p Plan) spf() *Change {
	for i, c := range p.Changes {
		if c.Name == p.Domain && strings.HasPrefix(strings.ToLower(c.Value), "v=spf1") {
			return &p.Changes[i]
		}
	}
	return nil
}

// rules are the SPF terms that a provider merges into the record (SPFM of Domain Connect).
func (p Plan) rules() string {
	var terms []string
	for _, addr := range p.Egress {
		term := "ip4:" + addr.String()
		if addr.Is6() {
			term = "ip6:" + addr.String()
		}
		if !slices.Contains(terms, term) {
			terms = append(terms, term)
		}
	}
	return strings.Join(terms, " ")
}

// merged is the record that a provider leaves: the rules at the front of the one there is,
// or a record of its own that ends in ~all (Domain Connect, "SPFM Record").
func (p Plan) merged(before string) string {
	rest := strings.TrimSpace(before[min(len(before), len("v=spf1")):])
	if rest == "" {
		rest = "~all"
	}
	return "v=spf1 " + p.rules() + " " + rest
}

// Leaves evaluates the SPF record that one click would leave, as spf fix does its own: under
// it every egress address passes, and the limits hold. The error says why it would not do.
func (p Plan) Leaves(ctx context.Context, checker *spfguard.Checker) (record string, err error) {
	c := p.spf()
	if c == nil {
		return "", nil
	}
	if len(c.Delete) > 1 {
		return "", fmt.Errorf("%s has %d SPF records, which a provider does not merge; delete all but one first",
			p.Domain, len(c.Delete))
	}
	before := ""
	if len(c.Delete) == 1 {
		before = c.Delete[0]
	}
	record = p.merged(before)
	fix, err := checker.Fix(ctx, spfguard.FixQuery{Domain: p.Domain, Record: record, Egress: p.Egress, New: true})
	switch {
	case err != nil:
		return record, fmt.Errorf("the record that it would leave, %q, could not be proven: %w", record, err)
	case fix.Changed():
		return record, fmt.Errorf("the record that it would leave, %q, needs more: %s", record,
			strings.Join(fix.Changes, "; "))
	}
	return record, nil
}

// zones are the domains that may be the zone of a name, the longest first.
func zones(domain string) []string {
	org := dmarc.Organizational(domain, nil)
	var all []string
	for name := domain; ; {
		all = append(all, name)
		if name == org || !strings.Contains(name, ".") {
			return all
		}
		_, name, _ = strings.Cut(name, ".")
	}
}
