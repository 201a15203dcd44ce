package preflight

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"enotify/cmd/enotify/forecast"
	"enotify/cmd/enotify/judge"
	"enotify/queue"
	"enotify/queue/insight"
	"enotify/spfguard"
	"enotify/spfguard/dns"
)

// An Input is all that the checks look at.
type Input struct {
	Now      time.Time
	DNS      *dns.Resolver // the one that all checks ask
	Client   string        // domain of From:, in A-labels
	From     string        // address
	MailFrom string        // envelope sender, or one like it; "" is the null sender
	Egress   []queue.Egress
	Lists    []string    // zones of DNS block lists
	Keys     []judge.Key // that sign for the client; nil when that is not known
	// KeyTrouble is why a key that should sign cannot be read; KeyName is the name
	// of its record.
	KeyTrouble error
	KeyName    string
	// KeysUnknown is whether keys sign for the client that nobody can look at here.
	KeysUnknown bool
	// KeysRemote is whether the nodes alone have the private halves of Keys: what is
	// rendered here is not signed.
	KeysRemote bool
	// FromSPF is the client's setting.
	FromSPF queue.FromSPF

	Batch   *queue.Batch // what it says; nil checks the client alone
	BatchID int64        // 0 when there is none yet
	State   string

	// What follows is of a batch.

	OneClick   *OneClick     // our own unsubscribe page; nil when its URL is not known
	Plan       forecast.Plan // all but Start, and the messages of Own where it is a draft
	Census     *insight.Census
	Rendering  Rendering
	Directory  Directory
	SentToday  int            // messages that the client sent in the last 24 hours
	LargestDay int            // most messages that it sent on a day of the last 30
	Bounces    []BatchBounces // of its last batches, the oldest first
	// SentThere is what the receivers of [Asked] took of the client's other mail in the
	// last 24 hours.
	SentThere []insight.TakenThere
	// GmailBulkSince is when the client sent 5,000 messages to Gmail within a day for the
	// first time; nil: never, as far as is known.
	GmailBulkSince *time.Time
	// Complaints are the client's rates, in all and by site.
	Complaints []insight.Complained

	foretold func() forecast.Forecast // how the batch will go, worked out once in each Run
	opinion  func() judge.Opinion     // what the guard finds of the client's mail, asked for once in each Run
}

// judge has the client's mail judged as the guard does.
func (in *Input) judge(ctx context.Context) func() judge.Opinion {
	return sync.OnceValue(func() judge.Opinion {
		j := judge.Judge{DNS: in.DNS}
		return j.Mail(ctx, judge.Mail{
			Client: in.Client, From: in.From, MailFrom: in.MailFrom, Egress: in.Egress, FromSPF: in.FromSPF,
			Keys: in.Keys, KeysUnknown: in.KeysUnknown, KeyName: in.KeyName, KeyTrouble: in.KeyTrouble,
		})
	})
}

// foretell simulates the batch.
func (in *Input) foretell() func() forecast.Forecast {
	return sync.OnceValue(func() forecast.Forecast {
		if in.Plan.Limits == nil {
			return forecast.Forecast{}
		}
		p := in.Plan
		p.Start = in.Now
		if p.Own.Domains == nil {
			p.Own.Domains = in.Waiting()
		}
		return forecast.Simulate(p)
	})
}

func (in *Input) subject() Subject {
	s := Subject{Client: in.Client, From: in.From, MailFrom: in.MailFrom, Batch: in.BatchID, State: in.State,
		Egress: []string{}, HELO: []string{}}
	if in.Batch != nil {
		s.Title = in.Batch.Subject
	}
	for _, e := range in.Egress {
		s.Egress = append(s.Egress, e.Addr.String())
		if !slices.Contains(s.HELO, e.HELO) {
			s.HELO = append(s.HELO, e.HELO)
		}
	}
	return s
}

// mailFromDomain is the domain whose SPF record receivers ask for.
func (in *Input) mailFromDomain() string {
	if in.MailFrom == "" && len(in.Egress) > 0 {
		return in.Egress[0].HELO // RFC 7208 §2.4
	}
	return spfguard.ASCII(in.MailFrom[strings.LastIndexByte(in.MailFrom, '@')+1:])
}

func (in *Input) addrs() []netip.Addr {
	var addrs []netip.Addr
	for _, e := range in.Egress {
		addrs = append(addrs, e.Addr)
	}
	return addrs
}

func (in *Input) ipFlag(flag string) string {
	var ips []string
	for _, e := range in.Egress {
		ips = append(ips, e.Addr.String())
	}
	return " " + flag + " " + strings.Join(ips, ",")
}

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

// txt returns the TXT records of a name, none if it has none. Its errors are
// temporary.
func (in *Input) txt(ctx context.Context, name string) ([]string, error) {
	a, err := in.DNS.TXT(ctx, name)
	if absent(err) {
		return nil, nil
	}
	return a.Records, err
}

// addresses returns the addresses of a name, none if it has none. Its errors are
// temporary.
func (in *Input) addresses(ctx context.Context, name string) ([]netip.Addr, error) {
	v4, err4 := in.DNS.A(ctx, name)
	v6, err6 := in.DNS.AAAA(ctx, name)
	found := append(slices.Clone(v4.Records), v6.Records...)
	for _, err := range []error{err4, err6} {
		if err != nil && !absent(err) {
			return found, err
		}
	}
	return found, nil
}

// takesMail reports whether mail to a domain has somewhere to go: its mail
// hosts, or without such its own addresses (RFC 5321 §5.1). A null MX is a
// host "" (RFC 7505). Its errors are temporary.
func (in *Input) takesMail(ctx context.Context, domain string) (hosts []string, null bool, err error) {
	mx, err := in.DNS.MX(ctx, domain)
	switch {
	case err == nil:
		for _, m := range mx.Records {
			if m.Host != "" {
				hosts = append(hosts, m.Host)
			}
		}
		return hosts, len(hosts) == 0, nil
	case !absent(err):
		return nil, false, err
	}
	addrs, err := in.addresses(ctx, domain)
	if len(addrs) > 0 {
		return []string{domain}, false, nil
	}
	return nil, false, err
}

// absent reports whether the DNS says that there is no such record.
func absent(err error) bool {
	return errors.Is(err, dns.ErrNXDomain) || errors.Is(err, dns.ErrNoData)
}

// bulk reports whether receivers hold the client to the rules for bulk senders.
func (in *Input) bulk() bool { return in.Batch != nil && in.sendable()+in.SentToday >= bulk }

// sendable is how many messages will be sent: who is at a domain that takes no
// mail gets none.
func (in *Input) sendable() int {
	n := in.Census.Sendable
	for _, c := range in.Census.Domains {
		if in.Directory.Facts[c.Domain].NoMail != nil {
			n -= c.N
		}
	}
	return n
}
