package spfguard

import (
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
func (c *Checker) Lint(ctx context.Context, domain, record string,
	egress ...netip.Addr) (text string, found []Finding, err error) {
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
			x.add(Error, "domain.absent", 0, 0, domain+" does not exist (NXDOMAIN): receivers refuse mail from "+
				"it", "correct the name, or have the domain registered and "+
				"delegated")
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
		switch {
		case len(records) == 0 || slices.Contains(records, text):
		case looksTorn(text):
			torn = append(torn, text)
		case !senderID.MatchString(text) && beginsAsVersion(text) && looksMeant(text):
			records = append(records, text)
		}
	}
	return records, torn
}

// examinePublished examines the SPF record among the TXT records of a name.
func examinePublished(texts []string, domain string) *examination {
	records, torn := pickPublished(texts)
	if len(records) == 0 {
		x := &examination{domain: domain, origin: []int{0}}
		x.add(
			Warning,
			"record.none",
			0,
			0,
			domain+" has no SPF record",
			`add one: "enotify spf fix `+domain+`" writes it`,
		)
		return x
	}
	x := examine(records[0], domain)
	for _, other := range records[1:] {
		message, remedy := fmt.Sprintf("there is a second record, %q: several are a permerror (RFC 7208 §4.5)",
			other), fmt.Sprintf(
			"move its terms into the first, and delete the second: %q",
			other,
		)
		switch {
		case !isSPF(other):
			message = fmt.Sprintf("%q was meant as an SPF record too, and receivers do not read it", other)
		case other == records[0]:
			message, remedy = "the record is there twice: several are a permerror (RFC 7208 "+
				"§4.5)", "delete one of the two"
		}
		x.add(Error, "record.several", 0, len(x.text), message, remedy)
	}
	for _, other := range torn {
		x.add(
			Warning,
			"record.torn",
			0,
			len(x.text),
			fmt.Sprintf("%q stands beside it as a TXT record of its own: without v=spf1 receivers do not read it",
				other),
			"move its terms into the record, as further strings of one TXT record, and delete it",
		)
	}
	return x
}

// judgeAnswer looks at what stands beside the record.
func (x *examination) judgeAnswer(ctx context.Context, c *Checker, texts []string) {
	size := len(x.domain)
	for _, text := range texts {
		size += len(text)
		if strings.HasPrefix(strings.ToLower(text), "spf2.0/") {
			x.add(Info, "record.senderid", 0, 0,
				fmt.Sprintf("%q is of Sender ID, which no one uses any more (RFC 6652 was its last trace)", text),
				"delete it")
		}
	}
	if size > maxAnswer {
		x.add(
			Warning,
			"length.answer",
			0,
			len(x.text),
			fmt.Sprintf(
				"the TXT records of %s hold %d octets: over %d the answer may not fit into one UDP packet (RFC "+
					"7208 §3.4)",
				x.domain,
				size,
				maxAnswer,
			),
			"delete TXT records that no one needs, or move networks into an included record",
		)
	}
	if old, ok := c.Resolver.(oldTypes); ok {
		if ans, err := old.SPF(ctx, x.domain); err == nil && len(ans.Records) > 0 {
			x.add(Info, "record.type99", 0, 0,
				"there is a record of the old type SPF (99), which receivers do not ask for (RFC 7208 §3.1)",
				"delete it")
		}
	}
}
