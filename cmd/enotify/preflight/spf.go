package preflight

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"enotify/cmd/enotify/figures"
	"enotify/cmd/enotify/judge"
	"enotify/spfguard"
)

// checkSPF reads what the guard finds of the records, for every egress address.
func checkSPF(ctx context.Context, in *Input) []Finding {
	checker := &spfguard.Checker{Resolver: in.DNS}
	domain := in.mailFromDomain()
	opinion := in.opinion()
	fix, err := checker.Fix(ctx, spfguard.FixQuery{Domain: domain, Egress: in.addrs(), Sender: in.MailFrom,
		HELO: in.Egress[0].HELO})
	cure := newCure(domain, fix, err)
	return []Finding{
		spfPass(domain, opinion.MailFrom, cure),
		spfFrom(ctx, in, checker, opinion),
		spfLookups(domain, opinion.MailFrom, cure),
		spfStrict(domain, opinion.MailFrom, cure),
		spfAll(domain, opinion.MailFrom),
		spfHELO(ctx, in, checker),
	}
}

// spfPass blocks where the guard does: a record that says nothing of our address,
// or doubts it, is a warning.
func spfPass(domain string, verdicts []spfguard.Verdict, cure cure) Finding {
	f := Finding{ID: "spf.pass", Severity: Pass, Evidence: recordOf(verdicts)}
	var failing, passing []string
	var undecided error
	for _, v := range verdicts {
		switch {
		case v.Result == spfguard.Pass:
			passing = append(passing, v.IP.String())
			continue
		case v.Result == spfguard.TempError:
			undecided = v.Err
			continue
		case v.Decision == spfguard.Block:
			f.Severity, f.Enforced = Block, true
		case f.Severity != Block:
			f.Severity = Warn
		}
		failing = append(failing, v.IP.String())
		f.Evidence = append(f.Evidence, fmt.Sprintf("%s: %s. %s", v.IP, v.Result, v.Explanation))
	}
	switch {
	case undecided != nil && f.Severity != Block:
		return unsure(f.ID, undecided)
	case len(failing) > 0:
		f.Found = fmt.Sprintf("%s does not let %s send for it.", domain, figures.Few(failing, 5))
		if verdicts[0].Evaluation.Root.Absent {
			f.Found = domain + " does not exist in the DNS. Is the name mistyped?"
		}
		f.Fix, f.Advice = cure.lines, cure.advice
	default:
		f.Found = fmt.Sprintf("%s lets %s send for it.", domain, figures.Few(passing, 5))
	}
	return f
}

// A cure is the line to publish, none if there is none, and what to do.
type cure struct {
	lines  []string
	advice string
}

// sentence ends a text with a full stop, unless it is a question.
func sentence(text string) string {
	if strings.HasSuffix(text, "?") {
		return text
	}
	return text + "."
}

// newCure puts into words what [spfguard.Checker.Fix] returned.
func newCure(domain string, fix *spfguard.Fix, err error) cure {
	var doubt *spfguard.DoubtError
	switch {
	case errors.As(err, &doubt):
		return cure{advice: "The record names senders that cannot be told from its text, and a new one must not leave them out. Ask the client: " + doubt.Ask()}
	case errors.Is(err, spfguard.ErrNoFix):
		return cure{advice: "There is no line to publish: " + sentence(err.Error())}
	case err != nil || !fix.Changed() && len(fix.Open) == 0:
		return cure{advice: "No single change makes every address pass; enotify spf lint " + domain +
			" says what is wrong with the record."}
	}
	if !fix.Changed() {
		return cure{advice: strings.Join(fix.Open, " ")}
	}
	c := cure{lines: []string{spfguard.ZoneLine(fix.Domain, fix.After)}}
	const tested = " It was tested: every address of ours passes under it, and so does every sender that the old record names."
	switch {
	case fix.Before == "":
		c.advice = "Add this line: the domain has no SPF record. It was tested: every address of ours passes under it."
	case len(fix.Delete) > 0:
		c.advice = fmt.Sprintf("Publish this line in place of the first SPF record (%s), and delete the other: %s.",
			quoted(fix.Before), quoted(strings.Join(fix.Delete, `", "`))) + tested
	default:
		c.advice = "Publish this line in place of the SPF record there is." + tested
	}
	if len(fix.Open) > 0 {
		c.advice += " Still open: " + strings.Join(fix.Open, " ")
	}
	return c
}

// recordOf is the record that the verdicts rest on.
func recordOf(verdicts []spfguard.Verdict) []string {
	for _, v := range verdicts {
		if v.Record != "" {
			return []string{v.Domain + ". IN TXT " + quoted(v.Record)}
		}
	}
	return nil
}

func quoted(s string) string { return `"` + s + `"` }

// spfFrom blocks where the guard does; the operator may have lowered it to a warning.
func spfFrom(ctx context.Context, in *Input, checker *spfguard.Checker, o judge.Opinion) Finding {
	f := Finding{ID: "spf.from", Severity: Pass}
	verdicts := o.Of(judge.From)
	if len(verdicts) == 0 {
		f.Found = "From: and envelope sender have one domain."
		return f
	}
	var undecided error
	for i, v := range verdicts {
		switch {
		case v.Temporary():
			undecided = o.From[i].Err
			continue
		case v.Blocks:
			f.Severity, f.Enforced = Block, true
		case o.From[i].Decision != spfguard.Block:
			continue
		case f.Severity != Block: // it was lowered
			f.Severity = Warn
		}
		f.Evidence = append(f.Evidence, fmt.Sprintf("%s: %s", v.Egress, v.Explanation))
	}
	switch {
	case f.Severity == Block || f.Severity == Warn && undecided == nil:
		f.Found = fmt.Sprintf("%s, the domain of From:, forbids our addresses; some receivers ask it beside the envelope sender's.", in.Client)
		if o.From[0].Result == spfguard.PermError {
			f.Found = fmt.Sprintf("The SPF record of %s, the domain of From:, is broken; some receivers ask it beside the envelope sender's.", in.Client)
		}
		fix, err := checker.Fix(ctx, spfguard.FixQuery{Domain: in.Client, Egress: in.addrs(), Sender: in.From,
			HELO: in.Egress[0].HELO})
		cure := newCure(in.Client, fix, err)
		f.Fix, f.Advice = cure.lines, cure.advice
		f.Recheck = "enotify spf check " + in.Client + in.ipFlag("--ip")
	case undecided != nil:
		return unsure(f.ID, undecided)
	default:
		f.Found = fmt.Sprintf("%s, the domain of From:, does not forbid our addresses.", in.Client)
	}
	f.Evidence = append(recordOf(o.From), f.Evidence...)
	return f
}

// The limits of RFC 7208 §4.6.4.
const (
	maxLookups = 10
	maxVoids   = 2
)

func spfLookups(domain string, verdicts []spfguard.Verdict, cure cure) Finding {
	f := Finding{ID: "spf.lookups", Severity: Pass}
	var lookups, voids int
	for _, v := range verdicts {
		lookups, voids = max(lookups, v.Lookups, v.WorstLookups), max(voids, v.Voids, v.WorstVoids)
		err := v.Err
		if v.Result != spfguard.TempError {
			err = v.Worst.Err
		}
		switch {
		case v.Result == spfguard.PermError:
			f.Severity, f.Enforced = Block, true
			f.Evidence = append(f.Evidence, v.Explanation)
		case err != nil && f.Severity == Pass:
			f = unsure(f.ID, err)
		}
	}
	switch {
	case f.Severity == NotChecked:
		return f
	case f.Severity == Block:
		f.Found = fmt.Sprintf("Receivers cannot interpret the SPF record of %s, and treat it as broken.", domain)
	case lookups > maxLookups || voids > maxVoids:
		f.Severity = Block
		f.Found = fmt.Sprintf("For an address that nothing matches, the record of %s takes %d look-ups and %d of them find nothing; allowed are %d and %d. Receivers then call it broken.",
			domain, lookups, voids, maxLookups, maxVoids)
	default:
		f.Found = fmt.Sprintf("At most %d of %d look-ups, and %d of %d that find nothing.", lookups, maxLookups, voids,
			maxVoids)
		return f
	}
	slices.Sort(f.Evidence)
	f.Evidence = append(recordOf(verdicts), slices.Compact(f.Evidence)...)
	f.Fix, f.Advice = cure.lines, cure.advice
	f.Recheck = "enotify spf lint " + domain
	return f
}

// spfStrict finds addresses that pass by the standard and not at receivers that
// count every empty answer.
func spfStrict(domain string, verdicts []spfguard.Verdict, cure cure) Finding {
	f := Finding{ID: "spf.strict", Severity: Pass, Found: "The record also passes where every empty answer is counted."}
	var addrs []string
	for _, v := range verdicts {
		switch {
		case v.Result == spfguard.TempError:
			return unsure(f.ID, v.Err)
		case v.StrictExplanation != "":
			addrs = append(addrs, v.IP.String())
			f.Evidence = append(f.Evidence, v.StrictExplanation)
		}
	}
	if len(addrs) == 0 {
		if slices.ContainsFunc(verdicts, func(v spfguard.Verdict) bool { return v.Result != spfguard.Pass }) {
			f.Severity, f.Found = Info, "Not every address passes, however empty answers are counted; see spf.pass."
		}
		return f
	}
	f.Severity = Warn
	f.Found = fmt.Sprintf("%s lets %s send by the standard, and not at receivers that count every empty answer.",
		domain, figures.Few(addrs, 5))
	f.Evidence = append(recordOf(verdicts), f.Evidence...)
	f.Fix, f.Advice = cure.lines, cure.advice
	f.Recheck = "enotify spf check " + domain
	return f
}

// spfAll reads what the record says of an address that nothing matches.
func spfAll(domain string, verdicts []spfguard.Verdict) Finding {
	f := Finding{ID: "spf.all", Severity: Info, Evidence: recordOf(verdicts)}
	for _, v := range verdicts {
		switch {
		case v.Result == spfguard.TempError:
			return unsure(f.ID, v.Err)
		case v.Worst.Err != nil:
			return unsure(f.ID, v.Worst.Err)
		case v.Worst.Root == nil:
			continue
		}
		switch v.Worst.Root.Result {
		case spfguard.Pass:
			f.Severity = Block
			f.Found = fmt.Sprintf("%s lets everybody on earth send for it. Receivers see that as no protection at all, and some refuse mail for it.", domain)
			if text := strings.Replace(v.Record, "+all", "~all", 1); text != v.Record {
				f.Fix = []string{spfguard.ZoneLine(domain, text)}
			}
			f.Advice = "End the record with ~all until every sender is listed, so that no mail is refused for it, and with -all after that. Ask the client which servers and services send for it."
			return f
		case spfguard.Fail:
			f.Found = fmt.Sprintf("%s forbids all others (-all).", domain)
		case spfguard.SoftFail:
			f.Found = fmt.Sprintf("%s doubts all others (~all).", domain)
		default:
			f.Found = fmt.Sprintf("%s says nothing about all others; -all at the end would keep forgers away.", domain)
		}
	}
	if f.Found == "" {
		f.Found = domain + " has no SPF record."
	}
	return f
}

func spfHELO(ctx context.Context, in *Input, checker *spfguard.Checker) Finding {
	f := Finding{ID: "spf.helo", Severity: Pass}
	names := map[string][]string{} // addresses that do not pass
	for _, e := range in.Egress {
		ev := checker.Check(ctx, spfguard.Query{IP: e.Addr, HELO: e.HELO})
		switch ev.Result {
		case spfguard.Pass:
		case spfguard.TempError:
			return unsure(f.ID, ev.Err)
		default:
			names[e.HELO] = append(names[e.HELO], e.Addr.String())
			f.Evidence = append(f.Evidence, fmt.Sprintf("%s from %s: %s. %s", e.HELO, e.Addr, ev.Result, ev.Explain()))
		}
	}
	if len(names) == 0 {
		f.Found = "The name at EHLO passes from every address; bounces, which have no envelope sender, are judged by it."
		return f
	}
	f.Severity = Warn
	f.Found = "The name we give at EHLO does not pass. Receivers ask it for mail without envelope sender, and some for all mail."
	for _, name := range in.subject().HELO {
		if record := heloRecord(in, name); len(names[name]) > 0 && record != "" {
			f.Fix = append(f.Fix, spfguard.ZoneLine(name, record))
		}
	}
	f.Advice = "These lines belong in the zone of your own servers, not in the client's."
	return f
}

// heloRecord lists the public addresses that give the name, "" when none does.
func heloRecord(in *Input, name string) string {
	terms := []string{"v=spf1"}
	for _, e := range in.Egress {
		if e.HELO != name || spfguard.NotPublic(e.Addr) != "" {
			continue
		}
		kind := "ip4:"
		if e.Addr.Is6() {
			kind = "ip6:"
		}
		terms = append(terms, kind+e.Addr.String())
	}
	if len(terms) == 1 {
		return ""
	}
	return strings.Join(append(terms, "-all"), " ")
}
