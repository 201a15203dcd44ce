package preflight

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"enotify/cmd/enotify/dmarc"
	"enotify/cmd/enotify/figures"
	"enotify/cmd/enotify/judge"
	"enotify/queue"
	"enotify/spfguard"
)

// bulk is from how many messages a day on Gmail, Yahoo and Microsoft hold a
// sender to their stricter rules.
const bulk = 5000

// checkDMARC finds the policy as receivers do, and whether From: is aligned.
func checkDMARC(ctx context.Context, in *Input) []Finding {
	opinion := in.opinion()
	proofs := &opinion.Proofs
	if proofs.Err != nil {
		return []Finding{unsure("dmarc.record", proofs.Err), dmarcAlign(in, opinion), unsure("dmarc.rua", proofs.Err)}
	}
	p, ok := proofs.Found, proofs.HasRecord
	return []Finding{dmarcRecordFinding(ctx, in, p, ok), dmarcAlign(in, opinion), dmarcRUA(ctx, in, p, ok)}
}

func dmarcRecordFinding(ctx context.Context, in *Input, p dmarc.Found, ok bool) Finding {
	f := Finding{ID: "dmarc.record", Severity: Pass}
	org := dmarc.Organizational(in.Client, nil)
	if ok {
		f.Evidence = []string{fmt.Sprintf("_dmarc.%s. IN TXT %s", p.Domain, quoted(p.Record.Text))}
		f.Found = fmt.Sprintf("The policy of %s is %s.", p.Domain, p.Record.Policy)
		if policy := p.For(in.Client, true); policy != p.Record.Policy {
			f.Found += fmt.Sprintf(" For %s receivers apply %s (tag sp or t).", in.Client, policy)
		}
		if !p.Record.Stated {
			f.Severity = Warn
			f.Found = fmt.Sprintf("The record of %s states no policy. Newer receivers read that as none (RFC 9989), older ones as no record.", p.Domain)
			f.Fix = []string{zoneTXT("_dmarc."+p.Domain, dmarcDefault(in, p.Record.Text))}
		}
		if len(p.Record.Faults) > 0 {
			f.Severity = Warn
			f.Found += " Receivers ignore a part of it."
			f.Evidence = append(f.Evidence, p.Record.Faults...)
		}
		return f
	}
	f.Severity = Warn
	if in.bulk() {
		f.Severity = Block
	}
	f.Found = fmt.Sprintf("%s has no DMARC record. A sender of over %s messages a day needs one.", in.Client,
		figures.Count(bulk))
	if records, _ := in.txt(ctx, "_dmarc."+in.Client); len(records) > 0 { // it answered just now
		f.Found = fmt.Sprintf("What is at _dmarc.%s is no DMARC record that receivers take: there must be exactly one, and it begins with v=DMARC1.", in.Client)
		for _, r := range records {
			f.Evidence = append(f.Evidence, fmt.Sprintf("_dmarc.%s. IN TXT %s", in.Client, quoted(r)))
		}
		org = in.Client
	}
	f.Fix = []string{zoneTXT("_dmarc."+org, dmarc.First(org))}
	f.Advice = "p=none asks receivers for reports and changes nothing else: a safe beginning. The address behind rua= must exist."
	return f
}

// dmarcDefault is a record with a policy put in.
func dmarcDefault(_ *Input, text string) string {
	_, rest, _ := strings.Cut(text, ";")
	var kept []string
	for tag := range strings.SplitSeq(rest, ";") {
		if tag = strings.TrimSpace(tag); tag != "" &&
			!strings.HasPrefix(strings.ToLower(strings.ReplaceAll(tag, " ", "")), "p=") {
			kept = append(kept, tag)
		}
	}
	return strings.Join(append([]string{"v=DMARC1", "p=none"}, kept...), "; ")
}

func zoneTXT(name, text string) string { return spfguard.ZoneLine(name, text) }

// dmarcAlign says which of the two proofs speaks for the From: domain. It blocks
// where the guard does.
func dmarcAlign(in *Input, o judge.Opinion) Finding {
	f := Finding{ID: "dmarc.align", Severity: Pass}
	p := &o.Proofs
	var yes, no, without []string
	var undecided error
	for i, v := range o.MailFrom {
		undecided = cmp.Or(undecided, p.Undecided(v))
		if !p.Passes[i] {
			without = append(without, v.IP.String())
		}
	}
	switch {
	case !p.SPF.Aligned:
		no = append(no, p.SPF.Says)
	case len(without) > 0:
		no = append(no, fmt.Sprintf("%s does not pass from %s", p.SPF.Says, figures.Few(without, 5)))
	default:
		yes = append(yes, p.SPF.Says)
	}
	for _, d := range p.DKIM {
		if d.Holds() {
			yes = append(yes, d.Says)
		} else {
			no = append(no, d.Says)
		}
	}
	if len(p.DKIM) == 0 {
		no = append(no, "there is no DKIM signature that could")
	}
	f.Evidence = append(yes, no...)
	verdicts := o.Of(judge.DMARC)
	fails := slices.IndexFunc(verdicts, func(v queue.Verdict) bool { return !v.Temporary() })
	switch nothing := len(without) > 0 && !p.Signed(); {
	case fails >= 0:
		f.Severity = Warn
		v := verdicts[fails]
		if f.Enforced = v.Blocks; f.Enforced {
			f.Severity = Block
		}
		f.Found = v.Explanation
		if v.Fix != "" {
			f.Fix = []string{v.Fix}
		}
		return f
	case len(verdicts) > 0:
		return unsure(f.ID, cmp.Or(p.Err, undecided))
	case nothing && undecided != nil:
		return unsure(f.ID, undecided)
	case nothing:
		f.Severity = Warn
		if in.bulk() {
			f.Severity = Block
		}
		f.Found = fmt.Sprintf("Nothing proves that %s sends this mail: DMARC fails everywhere.", in.Client)
		f.Advice = fmt.Sprintf("Sign with d=%s (enotify client key, client set), or take an envelope sender within %s.",
			in.Client, dmarc.Organizational(in.Client, p.Walk))
	case len(no) > 0 || undecided != nil:
		f.Severity = Warn
		f.Found = "One of two proofs holds. A forwarder that breaks it leaves none: SPF does not survive forwarding."
		f.Advice = fmt.Sprintf("Sign with d=%s, and keep the envelope sender within %s.", in.Client,
			dmarc.Organizational(in.Client, p.Walk))
	default:
		f.Found = "Both SPF and DKIM prove the domain of From:."
	}
	return f
}

// dmarcRUA looks at where reports go, and whether a foreign receiver of them
// has agreed.
func dmarcRUA(ctx context.Context, in *Input, p dmarc.Found, ok bool) Finding {
	f := Finding{ID: "dmarc.rua", Severity: Info}
	if !ok || len(p.Record.RUA) == 0 {
		f.Found = "Nobody gets aggregate reports, which would show who else sends in the client's name."
		return f
	}
	own := dmarc.Organizational(p.Domain, nil)
	for _, uri := range p.Record.RUA {
		address, isMail := strings.CutPrefix(strings.ToLower(uri), "mailto:")
		at := strings.LastIndexByte(address, '@')
		if !isMail || at < 0 {
			f.Evidence = append(f.Evidence, uri+" is not understood by most receivers: give mailto:ADDRESS")
			continue
		}
		host := strings.TrimSuffix(address[at+1:], ".")
		if dmarc.Organizational(host, nil) == own {
			f.Evidence = append(f.Evidence, uri)
			continue
		}
		name := dmarc.ReportAuthorisation(p.Domain, host)
		records, err := in.txt(ctx, name)
		if err != nil {
			return unsure(f.ID, err)
		}
		agreed := false
		for _, r := range records {
			agreed = agreed || dmarc.IsRecord(r)
		}
		if agreed {
			f.Evidence = append(f.Evidence, uri+", and "+host+" agrees")
			continue
		}
		f.Evidence = append(f.Evidence, fmt.Sprintf("%s gets none: %s has not agreed to get reports for %s", uri, host,
			p.Domain))
		f.Fix = append(f.Fix, zoneTXT(name, "v=DMARC1"))
		f.Advice = "The line belongs in the zone of " + host + "."
	}
	f.Found = "Reports go to " + figures.Few(p.Record.RUA, 3) + "."
	if len(f.Fix) > 0 {
		f.Found = "Not all of the addresses for reports will get them."
	}
	return f
}
