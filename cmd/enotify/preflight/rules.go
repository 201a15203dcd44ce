package preflight

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"enotify/cmd/enotify/figures"
)

// receiverRules says of each receiver of the batch with rules of its own whether the
// mail keeps them, by what the other checks found. A receiver without
// recipients has no row.
func (in *Input) receiverRules(ctx context.Context, r *Report) (all []Finding) {
	met := in.meets(ctx, r)
	for _, who := range receivers {
		if n := in.recipientsAt(who); n > 0 {
			all = append(all, in.ruled(who, n, met))
		}
	}
	return all
}

// ruled is the row of one receiver, to which n messages go.
func (in *Input) ruled(who receiver, n int, met func(need) (yes, known bool)) Finding {
	f := Finding{ID: who.id, Severity: Pass}
	lately := in.sentThere(who)
	large := n+lately >= bulk
	f.Found = fmt.Sprintf("%s: what %s asks is there.", figures.Some(n, "recipient"), who.who)
	var missing, open []string
	for _, rule := range who.rules {
		yes, known := met(rule.need)
		switch {
		case yes || rule.bulk && !large && !in.bulkAlready(who):
		case !known:
			open = append(open, string(rule.need))
		default:
			missing = append(missing, string(rule.need))
			if f.Severity != Block {
				f.Severity = rule.severity
			}
			f.Rejects = append(f.Rejects, Rejection{who.who, orUnpublished(rule.reply)})
		}
	}
	f.Rejects = slices.Compact(f.Rejects)
	if len(missing) > 0 {
		f.Found = fmt.Sprintf("%s. Missing of what %s asks: %s.", figures.Some(n, "recipient"), who.who,
			strings.Join(missing, "; "))
		f.Advice = "The rows above say how to cure each of these."
	} else if len(open) > 0 {
		f.Severity, f.Found = NotChecked,
			fmt.Sprintf("%s. Nobody could say of what %s asks: %s.", figures.Some(n, "recipient"), who.who,
				strings.Join(open, "; "))
	}
	if lately > 0 {
		f.Evidence = append(f.Evidence, fmt.Sprintf("%s took %s of this client's other mail in the last 24 hours",
			who.who, figures.Some(lately, "message")))
	}
	if in.bulkAlready(who) {
		f.Evidence = append(f.Evidence, fmt.Sprintf("%s got %s messages of this client within a day on %s, and holds it to the rules for bulk senders for ever",
			who.who, figures.Count(bulk), in.GmailBulkSince.Format("2 Jan 2006")))
	}
	f.Evidence = append(f.Evidence, fmt.Sprintf("source: %s (%s)", who.page, who.read))
	return f
}

// bulkAlready reports whether a receiver has called the client a bulk sender for good.
func (in *Input) bulkAlready(who receiver) bool {
	return who.id == "rule.google" && in.GmailBulkSince != nil
}

func orUnpublished(reply string) string {
	if reply == "" {
		return "refused or put into the spam folder; it publishes no reply"
	}
	return reply
}

// Asked are the domains and sites of the receivers that have rules for bulk senders.
func Asked() (domains, sites []string) {
	for _, who := range receivers {
		if slices.ContainsFunc(who.rules, func(r rule) bool { return r.bulk }) {
			domains, sites = append(domains, who.domains...), append(sites, who.sites...)
		}
	}
	return domains, sites
}

// sentThere is how many messages of the client a receiver took in the last 24 hours, without
// this batch.
func (in *Input) sentThere(who receiver) (n int) {
	for _, c := range in.SentThere {
		if slices.Contains(who.domains, c.Domain) || slices.Contains(who.sites, c.Site) {
			n += c.N
		}
	}
	return n
}

// recipientsAt counts the batch's recipients at a receiver.
func (in *Input) recipientsAt(who receiver) (n int) {
	for _, c := range in.Census.Domains {
		if slices.Contains(who.domains, c.Domain) || slices.Contains(who.sites, in.Directory.Facts[c.Domain].Site) {
			n += c.N
		}
	}
	return n
}

// meets returns a function that tells whether the mail has what a receiver needs, and
// whether that could be found out.
func (in *Input) meets(ctx context.Context, r *Report) func(need) (yes, known bool) {
	passes := func(id string, good ...Severity) (bool, bool) {
		f := r.Row(id)
		return slices.Contains(good, f.Severity), f.Severity != NotChecked && f.Severity != ""
	}
	opinion := in.opinion()
	proofs := &opinion.Proofs
	spf, spfKnown := passes("spf.pass", Pass, Info)
	dkim := proofs.Signed()
	dkimKnown := dkim || !in.KeysUnknown && r.Row("dkim.key").Severity != NotChecked
	return func(n need) (yes, known bool) {
		switch n {
		case needSPF:
			return spf, spfKnown
		case needDKIM:
			return dkim, dkimKnown
		case needEither:
			return spf || dkim, spfKnown && dkimKnown
		case needDMARC:
			return proofs.HasRecord, proofs.Err == nil
		case needAligned:
			return dkim || spf && proofs.SPF.Aligned, spfKnown && dkimKnown && proofs.Err == nil
		case needPTR:
			return passes("ptr.fcrdns", Pass)
		case needOwnPTR:
			return in.ownNames(ctx)
		case needOneClick:
			return passes("unsub.header", Pass, Info)
		case needFewComplain:
			return passes("hist.complaint", Pass, Info, Warn)
		}
		panic("preflight: no such need: " + string(n))
	}
}

// ownNames reports whether the names of our addresses are chosen ones.
func (in *Input) ownNames(ctx context.Context) (yes, known bool) {
	known = true
	for _, e := range in.Egress {
		ptr, err := in.DNS.PTR(ctx, e.Addr)
		if err != nil && !absent(err) {
			known = false
		}
		if slices.ContainsFunc(ptr.Records, func(name string) bool { return generic(name, e.Addr) }) {
			return false, true
		}
	}
	return known, known
}

// generic reports whether a name was made of the number of an address, as networks name
// addresses that nobody has named: 192-0-2-10.dsl.example, or the digits of IPv6.
func generic(name string, addr netip.Addr) bool {
	if addr.Is6() {
		full := strings.ReplaceAll(addr.StringExpanded(), ":", "")
		return strings.Contains(strings.NewReplacer("-", "", ".", "").Replace(strings.ToLower(name)), full)
	}
	numbers := strings.FieldsFunc(name, func(c rune) bool { return c < '0' || c > '9' })
	for _, octet := range addr.As4() {
		if !slices.ContainsFunc(numbers,
			func(text string) bool { n, err := strconv.Atoi(text); return err == nil && n == int(octet) }) {
			return false
		}
	}
	return true
}
