package preflight

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"enotify/cmd/enotify/figures"
	"enotify/queue"
	"enotify/spfguard"
)

// checkNames looks at the names of our own addresses: each has one that leads
// back to it (forward-confirmed reverse DNS, RFC 8601 §3), and gives such a
// name at EHLO.
func checkNames(ctx context.Context, in *Input) []Finding {
	f := Finding{ID: "ptr.fcrdns", Severity: Pass}
	v6 := Finding{ID: "ip.v6", Severity: Pass, Found: "No IPv6 address is used."}
	var undecided error
	var named []string
	for _, e := range in.Egress {
		problem, names, err := nameless(ctx, in, e)
		if e.Addr.Is6() {
			v6 = v6Finding(v6, e, cmp.Or(problem, spfProblem(ctx, in, e)), err)
		}
		switch {
		case err != nil:
			undecided = err
		case problem != "":
			f.Severity = Block
			f.Evidence = append(f.Evidence, fmt.Sprintf("%s: %s", e.Addr, problem))
			f.Fix = append(f.Fix, nameLines(e)...)
		default:
			named = append(named, fmt.Sprintf("%s is %s", e.Addr, figures.Few(names, 3)))
		}
	}
	switch {
	case f.Severity == Block:
		f.Found = "Not every address that receivers see has a name that leads back to it and that we give at EHLO."
		f.Advice = "PTR records are set by the provider that gave you the address. The name is yours to choose; it must be the one at EHLO (enotify run --helo)."
	case undecided != nil:
		f = unsure(f.ID, undecided)
	default:
		f.Found = figures.Few(named, 4) + "."
	}
	return []Finding{f, v6}
}

// spfProblem is why SPF does not pass from an address; "" when it passes, or when that is
// not known, which row spf.pass reports.
func spfProblem(ctx context.Context, in *Input, e queue.Egress) string {
	checker := &spfguard.Checker{Resolver: in.DNS}
	ev := checker.Check(ctx, spfguard.Query{IP: e.Addr, Sender: in.MailFrom, HELO: e.HELO})
	if ev.Result == spfguard.Pass || ev.Result == spfguard.TempError {
		return ""
	}
	return "SPF: " + string(ev.Result)
}

func v6Finding(f Finding, e queue.Egress, problem string, err error) Finding {
	switch {
	case f.Severity == Warn:
	case err != nil:
		return unsure(f.ID, err)
	case problem == "":
		if f.Severity == Pass {
			f.Found = "The IPv6 addresses have names that lead back to them."
		}
		return f
	}
	f.Severity = Warn
	f.Found = "Receivers refuse mail from IPv6 addresses that have no proper name or no permission. Send over IPv4 alone until that is cured: leave these out of --egress."
	if problem != "" {
		f.Evidence = append(f.Evidence, fmt.Sprintf("%s: %s", e.Addr, problem))
		if !strings.HasPrefix(problem, "SPF") {
			f.Fix = append(f.Fix, nameLines(e)...)
		}
	}
	return f
}

// nameless says what is wrong with the name of an address, "" when nothing is.
// Its errors are temporary.
func nameless(ctx context.Context, in *Input, e queue.Egress) (problem string, names []string, err error) {
	ptr, err := in.DNS.PTR(ctx, e.Addr)
	switch {
	case absent(err):
		return "it has no PTR record", nil, nil
	case err != nil:
		return "", nil, err
	}
	var confirmed []string
	for _, name := range ptr.Records[:min(len(ptr.Records), 10)] {
		addrs, err := in.addresses(ctx, name)
		if slices.Contains(addrs, e.Addr) {
			confirmed = append(confirmed, name)
		} else if err != nil {
			return "", nil, err
		}
	}
	switch {
	case len(confirmed) == 0:
		return fmt.Sprintf("its name %s does not lead back to it", figures.Few(ptr.Records, 3)), nil, nil
	case !slices.ContainsFunc(confirmed, func(name string) bool { return strings.EqualFold(name, e.HELO) }):
		return fmt.Sprintf("its name is %s, but we say %s at EHLO", figures.Few(confirmed, 3), e.HELO), nil, nil
	}
	return "", confirmed, nil
}

// nameLines are the zone lines that give an address the name at EHLO.
func nameLines(e queue.Egress) []string {
	arpa, err := dns.ReverseAddr(e.Addr.String())
	if err != nil || spfguard.NotPublic(e.Addr) != "" { // no receiver asks about it
		return nil
	}
	kind := "A"
	if e.Addr.Is6() {
		kind = "AAAA"
	}
	return []string{arpa + " IN PTR " + dns.Fqdn(e.HELO), fmt.Sprintf("%s IN %s %s", dns.Fqdn(e.HELO), kind, e.Addr)}
}

// checkLists asks the block lists that the operator named (RFC 5782).
func checkLists(ctx context.Context, in *Input) []Finding {
	f := Finding{ID: "dnsbl", Severity: Pass}
	if len(in.Lists) == 0 {
		f.Severity, f.Found = NotChecked, "No block list was named."
		f.Advice = "Name those that you are allowed to ask: --dnsbl zen.spamhaus.org,bl.spamcop.net. Most refuse questions from public resolvers."
		return []Finding{f}
	}
	asked := 0
	var refused []string
	for _, zone := range in.Lists {
		for _, e := range in.Egress {
			entry := listName(e.Addr, zone)
			answer, err := in.DNS.A(ctx, entry)
			switch code, no := listCode(answer.Records); {
			case absent(err):
				asked++
			case err != nil:
				refused = append(refused, fmt.Sprintf("%s: %v", zone, err))
			case no:
				refused = append(refused, fmt.Sprintf("%s answers %s: it does not tell us", zone, code))
			case code == "":
				refused = append(refused, fmt.Sprintf("%s answers nonsense: %v", zone, answer.Records))
			default:
				asked++
				f.Severity = Warn
				why, _ := in.txt(ctx, entry) // a courtesy of the list
				f.Evidence = append(f.Evidence,
					fmt.Sprintf("%s is on %s (%s) %s", e.Addr, zone, code, strings.Join(why, " ")))
			}
		}
	}
	slices.Sort(refused)
	refused = slices.Compact(refused)
	switch {
	case f.Severity == Warn:
		f.Found = "Receivers that ask these lists refuse our mail or treat it as spam."
		f.Advice = "Look the address up on the list's web site: it says why, and how to get off. Send from another address until then."
	case len(refused) > 0:
		f.Severity, f.Found, f.Unanswered = NotChecked, "Not every list answered.", true
	default:
		f.Found = fmt.Sprintf("%s on %s.",
			map[bool]string{true: "None of our addresses is", false: "Our address is not"}[len(in.Egress) > 1],
			figures.Few(in.Lists, 5))
	}
	f.Evidence = append(f.Evidence, refused...)
	return []Finding{f}
}

// listName is where a list tells of an address (RFC 5782 §2.1 and §2.4).
func listName(addr netip.Addr, zone string) string {
	arpa, err := dns.ReverseAddr(addr.String())
	if err != nil {
		return zone
	}
	return strings.TrimSuffix(strings.TrimSuffix(arpa, "in-addr.arpa."), "ip6.arpa.") + strings.Trim(zone, ".")
}

// listCode reads the answer of a list: in 127.0.0.0/8, or it is none (RFC 5782
// §2.1). 127.255.255.0/24 tells that the question itself was refused.
func listCode(addrs []netip.Addr) (code string, refused bool) {
	for _, a := range addrs {
		switch {
		case netip.MustParsePrefix("127.255.255.0/24").Contains(a):
			return a.String(), true
		case a.IsLoopback() && code == "":
			code = a.String()
		}
	}
	return code, false
}

// checkReturn makes sure that bounces have somewhere to go.
func checkReturn(ctx context.Context, in *Input) []Finding {
	f := Finding{ID: "mx.return", Severity: Pass}
	if in.MailFrom == "" {
		f.Severity, f.Found = Info, "The envelope sender is empty: nobody learns of bounces."
		return []Finding{f}
	}
	domain := in.mailFromDomain()
	hosts, null, err := in.takesMail(ctx, domain)
	switch {
	case err != nil:
		return []Finding{unsure(f.ID, err)}
	case len(hosts) > 0:
		f.Found = fmt.Sprintf("Mail to %s goes to %s.", domain, figures.Few(hosts, 3))
	default:
		f.Severity = Warn
		f.Found = fmt.Sprintf("%s, the domain of the envelope sender, takes no mail: bounces are lost, and some receivers refuse a sender that cannot be answered.", domain)
		if null {
			f.Evidence = []string{domain + ". IN MX 0 ."}
		}
		f.Fix = []string{fmt.Sprintf("%s. IN MX 10 %s.", domain, strings.TrimSuffix(in.Egress[0].HELO, "."))}
		f.Advice = "The line names a host of yours that takes the bounces; put in the one that does."
	}
	return []Finding{f}
}

// checkTLS reports what a client has done for the mail that comes in to it.
// It does not matter for what we send.
func checkTLS(ctx context.Context, in *Input) []Finding {
	one := func(id, name, tag, yes, no string) Finding {
		records, err := in.txt(ctx, name)
		if err != nil {
			return unsure(id, err)
		}
		for _, r := range records {
			if strings.HasPrefix(r, tag) {
				return Finding{ID: id, Severity: Info, Found: yes, Evidence: []string{name + ". IN TXT " + quoted(r)}}
			}
		}
		return Finding{ID: id, Severity: Info, Found: no}
	}
	return []Finding{
		one("tls.mtasts", "_mta-sts."+in.Client, "v=STSv1", in.Client+" asks senders to use TLS (RFC 8461).",
			in.Client+" does not ask senders to use TLS (MTA-STS, RFC 8461). That concerns mail to it, not this mail."),
		one("tls.rpt", "_smtp._tls."+in.Client, "v=TLSRPTv1", in.Client+" gets reports when TLS fails (RFC 8460).",
			in.Client+" gets no reports when TLS fails (RFC 8460). That concerns mail to it, not this mail."),
	}
}
