package judge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"

	"enotify/cmd/enotify/dmarc"
	"enotify/queue"
	"enotify/spfguard"
	"enotify/spfguard/dns"
)

// Mail is what receivers see of a client's mail.
type Mail struct {
	Client   string // domain of From:, in A-labels
	From     string // address
	MailFrom string // envelope sender, or an address of the same domain; "" is the null sender
	Egress   []queue.Egress
	Keys     []Key // that sign it
	// KeyTrouble is why a key that should sign it cannot; KeyName is the name of
	// that key's record.
	KeyTrouble error
	KeyName    string
	// KeysUnknown is whether this program does not know which keys sign it.
	KeysUnknown bool
	// FromSPF is what a From: domain that forbids our addresses means where the
	// envelope sender passes and is aligned.
	FromSPF queue.FromSPF
}

// A Judge asks the DNS.
type Judge struct {
	DNS *dns.Resolver
	Log *slog.Logger // of fixes that were not found; nil is nowhere
}

// An Opinion is what receivers will make of a client's mail.
type Opinion struct {
	// Verdicts are those that the guard records, for each identity one of each
	// egress address. Those of DMARC are listed only where no proof is aligned
	// without asking for the policy.
	Verdicts []queue.Verdict

	MailFrom, From []spfguard.Verdict // of each egress address; From is empty where the domains are one
	Proofs         Proofs
}

// Identities of verdicts.
const (
	MailFrom = "mailfrom"
	From     = "from"
	DMARC    = "dmarc"
	DKIM     = "dkim"
)

// Mail judges the mail of one client.
func (j *Judge) Mail(ctx context.Context, m Mail) Opinion {
	spf := &spfguard.Checker{Resolver: j.DNS}
	var o Opinion
	for _, e := range m.Egress {
		o.MailFrom = append(o.MailFrom, spf.Verdict(ctx, spfguard.Query{IP: e.Addr, Sender: m.MailFrom, HELO: e.HELO}))
	}
	if len(o.MailFrom) > 0 && o.MailFrom[0].Domain != m.Client {
		for _, e := range m.Egress {
			o.From = append(o.From, spf.Verdict(ctx, spfguard.Query{IP: e.Addr, Sender: m.From, HELO: e.HELO}))
		}
	}
	o.Proofs = j.prove(ctx, m, o.MailFrom)
	cures := cures{ctx: ctx, judge: j, spf: spf, mail: m}
	for i, e := range m.Egress {
		v := verdictOf(MailFrom, e.Addr, o.MailFrom[i])
		if v.Blocks {
			cures.mend(&v, v.Domain, m.MailFrom)
		}
		o.Verdicts = append(o.Verdicts, v)
	}
	for i, e := range m.Egress[:len(o.From)] {
		v := verdictOf(From, e.Addr, o.From[i])
		if v.Blocks {
			o.lower(&v, m, i)
			cures.mend(&v, m.Client, m.From)
		}
		o.Verdicts = append(o.Verdicts, v)
	}
	for i, e := range m.Egress {
		if v, said := o.Proofs.verdict(m, o.MailFrom[i], i); said {
			v.Egress, v.ValidFor = e.Addr, o.MailFrom[i].TTL
			if v.Result == fail {
				cures.align(&v, o)
			}
			o.Verdicts = append(o.Verdicts, v)
		}
	}
	for i, e := range m.Egress {
		if len(m.Keys) > 0 && m.KeyTrouble == nil {
			o.Verdicts = append(o.Verdicts, queue.Verdict{
				Identity: DKIM, Domain: m.Keys[0].Name(), Egress: e.Addr, Result: string(spfguard.Pass),
				Record:      zoneLines(m.Keys),
				Explanation: "The nodes have the keys that sign.", ValidFor: o.MailFrom[i].TTL,
			})
		}
	}
	if m.KeyTrouble != nil {
		for i, e := range m.Egress {
			o.Verdicts = append(o.Verdicts, queue.Verdict{
				Identity: DKIM, Domain: m.KeyName, Egress: e.Addr, Result: fail, Blocks: true,
				Explanation: m.KeyTrouble.Error(),
				ValidFor:    o.MailFrom[i].TTL,
			})
		}
	}
	return o
}

// fail is the result of an identity that no receiver will accept.
const fail = string(spfguard.Fail)

// verdictOf is a verdict of SPF as the queue keeps it.
func verdictOf(identity string, egress netip.Addr, v spfguard.Verdict) queue.Verdict {
	return queue.Verdict{
		Identity: identity, Domain: v.Domain, Egress: egress,
		Result: string(v.Result), Blocks: v.Decision == spfguard.Block, Record: v.Record, Explanation: v.Explanation,
		ValidFor: v.TTL,
	}
}

// lower applies the operator's choice to a verdict on the From: domain that
// blocks: where the envelope sender passes and is aligned, receivers that keep to
// the standards do not look at this record.
func (o *Opinion) lower(v *queue.Verdict, m Mail, i int) {
	aligned := o.MailFrom[i].Result == spfguard.Pass && o.Proofs.SPF.Aligned
	sender := o.MailFrom[i].Domain
	switch {
	case aligned && m.FromSPF == queue.FromSPFWarns:
		v.Blocks = false
		v.Explanation += fmt.Sprintf(" The operator lowered this to a warning (client set --from-spf warn), since %s, the domain "+
			"of the envelope sender, passes and is aligned. Some receivers refuse the mail anyway.", sender)
	case aligned:
		v.Explanation += fmt.Sprintf(" %s, the domain of the envelope sender, passes and is aligned, so most receivers would take "+
			"the mail; to send it with a warning: enotify client set %s --from-spf warn.", sender, m.Client)
	case m.FromSPF == queue.FromSPFWarns:
		v.Explanation += fmt.Sprintf(" This blocks although --from-spf warn is set for %s: that holds only where the domain of the "+
			"envelope sender (%s) passes and is aligned.", m.Client, sender)
	}
}

// Of lists the verdicts on an identity.
func (o *Opinion) Of(identity string) []queue.Verdict {
	return slices.DeleteFunc(slices.Clone(o.Verdicts), func(v queue.Verdict) bool { return v.Identity != identity })
}

// txt returns the TXT records of a name, none if it has none. Its errors are
// temporary.
func (j *Judge) txt(ctx context.Context, name string) ([]string, error) {
	a, err := j.DNS.TXT(ctx, name)
	if absent(err) {
		return nil, nil
	}
	return a.Records, err
}

// absent reports whether the DNS says that there is no such record.
func absent(err error) bool {
	return errors.Is(err, dns.ErrNXDomain) || errors.Is(err, dns.ErrNoData)
}

// exists reports whether a domain has an address or a mail host (RFC 9989 §3.2.12
// calls one that has neither non-existent). Its errors are temporary.
func (j *Judge) exists(ctx context.Context, domain string) (bool, error) {
	_, mx := j.DNS.MX(ctx, domain)
	_, v4 := j.DNS.A(ctx, domain)
	_, v6 := j.DNS.AAAA(ctx, domain)
	var trouble error
	for _, err := range []error{mx, v4, v6} {
		switch {
		case err == nil:
			return true, nil
		case !absent(err):
			trouble = err
		}
	}
	return false, trouble
}

// walk finds the DMARC records from domain up to the top.
func (j *Judge) walk(ctx context.Context, domain string) ([]dmarc.Found, error) {
	return dmarc.Walk(ctx, domain, j.txt)
}
