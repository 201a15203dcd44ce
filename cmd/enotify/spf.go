package main

import (
	"context"
	"fmt"
	"net/netip"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"enotify/cmd/enotify/exit"
	"enotify/cmd/enotify/settings"
	"enotify/cmd/enotify/spfreport"
	"enotify/spfguard"
	"enotify/spfguard/dns"
)

// spfCmd needs a database only for the default of --ip: ourEgress lists the
// egress addresses of a pool, or else of the pools of a client. It may be nil.
func (a *app) spfCmd(ourEgress func(ctx context.Context, domain, pool string) ([]netip.Addr, error)) *cobra.Command {
	s := &spf{app: a, ourEgress: ourEgress}
	cmd := noun("spf", "Check, lint, fix and build SPF records", s.checkCmd(), s.lintCmd(), s.fixCmd(), s.buildCmd())
	cmd.PersistentFlags().StringVarP(&s.format, "output", "o", "text", "text or json")
	return cmd
}

// spf holds what its verbs share.
type spf struct {
	*app
	ourEgress func(ctx context.Context, domain, pool string) ([]netip.Addr, error)
	format    string // text or json

	ips      []string // of --ip
	sending  []string // of --egress, the same by the name that other verbs have for it
	pool     string   // of the addresses
	mailFrom string
	helo     string
	record   string
	strict   bool
}

func (s *spf) ipFlag(f *pflag.FlagSet) {
	f.StringSliceVar(&s.ips, "ip", nil, "`IP` addresses that send, separated by commas; default: the addresses of --egress")
	f.StringSliceVar(
		&s.sending,
		"egress",
		nil,
		"`IP` addresses that receivers see, separated by commas; default: those of the client's pools, or of all pools",
	)
	poolFlag(f, &s.pool)
}

// poolFlag names the pool of egress addresses that a verb is about.
func poolFlag(f *pflag.FlagSet, pool *string) {
	f.StringVar(pool, "pool", "", "`NAME` of the pool of egress addresses; default: those that the client's mail leaves from")
}

func (s *spf) recordFlag(f *pflag.FlagSet) {
	f.StringVar(&s.record, "record", "", "test the record `TXT` instead of the published one")
}

func (s *spf) senderFlags(f *pflag.FlagSet) {
	f.StringVar(
		&s.mailFrom,
		"mail-from",
		"",
		"envelope sender `ADDRESS`; '' is the null sender, for which the HELO name counts",
	)
	f.StringVar(&s.helo, "helo", "", "`NAME` given in EHLO")
}

// checker also checks -o, whose formats differ from those of the other nouns.
func (s *spf) checker() (*spfguard.Checker, error) {
	if s.format != "text" && s.format != "table" && s.format != "json" {
		return nil, exit.Usagef("-o %s: want text or json", s.format)
	}
	return &spfguard.Checker{Resolver: &dns.Resolver{Server: s.resolver}}, nil
}

// named are the addresses that --ip says, else the addresses of --egress.
func (s *spf) named() ([]netip.Addr, error) {
	if len(s.ips) > 0 {
		return settings.Addresses("--ip", s.ips)
	}
	return settings.Addresses("--egress", s.sending)
}

// egress is what --ip or --egress says, else the addresses that a domain's mail leaves from.
func (s *spf) egress(ctx context.Context, domain string) ([]netip.Addr, error) {
	var addrs []netip.Addr
	var err error
	if s.pool == "" || len(s.ips) > 0 {
		if addrs, err = s.named(); err != nil || len(addrs) > 0 {
			return addrs, err
		}
	}
	if s.ourEgress != nil {
		if addrs, err = s.ourEgress(ctx, strings.ToLower(domain), s.pool); err != nil {
			return nil, fmt.Errorf("the egress addresses of the live nodes: %w; or name them with --egress", err)
		}
	}
	if len(addrs) == 0 && s.pool != "" {
		return nil, exit.Usagef("pool %s has no address: enotify egress add ADDRESS --pool %[1]s", s.pool)
	}
	if len(addrs) == 0 {
		return nil, exit.Usagef("no node is live: say with --egress which addresses receivers see")
	}
	return addrs, nil
}

// identity is the domain whose record is meant, and who sends.
func (s *spf) identity(cmd *cobra.Command, args []string) (domain, sender string, err error) {
	sender = s.mailFrom
	switch {
	case len(args) == 1:
		if domain, err = domainName(args[0]); err != nil {
			return "", "", err
		}
		if !cmd.Flags().Changed("mail-from") {
			sender = "postmaster@" + domain
		}
	case !cmd.Flags().Changed("mail-from"):
		return "", "", exit.Usagef("which domain? give one, or --mail-from")
	case sender != "":
		domain = spfguard.ASCII(sender[strings.LastIndexByte(sender, '@')+1:])
	case s.helo == "":
		return "", "", exit.Usagef(
			"the null sender has no domain of its own: give --helo, whose name receivers check instead")
	default:
		domain = spfguard.ASCII(s.helo)
	}
	return domain, sender, nil
}

// domainName reads the argument DOMAIN.
func domainName(text string) (string, error) {
	name := spfguard.ASCII(text)
	switch {
	case strings.Contains(text, "://"):
		return "", exit.Usagef("%s is a link: give the domain alone, as in town.example", text)
	case strings.Contains(text, "@"):
		return "", exit.Usagef("%s is an address: give the domain behind the @, or --mail-from %s", text, text)
	case !strings.Contains(name, "."):
		return "", exit.Usagef("%q is no domain name: it has no dot, as in town.example", text)
	}
	for i := range len(name) {
		if c := name[i] | 0x20; (c < 'a' || c > 'z') && (name[i] < '0' || name[i] > '9') &&
			!strings.ContainsRune("-_.", rune(name[i])) {
			return "", exit.Usagef("%q is no domain name: %q is not allowed in one", text, name[i:i+1])
		}
	}
	return name, nil
}

// print shows parts of a report.
func (s *spf) print(parts ...func(*spfreport.Printer)) error {
	p := &spfreport.Printer{Page: s.page()}
	for _, part := range parts {
		part(p)
	}
	return p.Flush()
}
