package node

import (
	"context"
	"log/slog"

	"enotify/cmd/enotify/judge"
	"enotify/queue"
	"enotify/sender/dkim"
	"enotify/spfguard/dns"
)

// checker is the guard's [guard.Checker] over the DNS and the keys of this node.
type checker struct {
	resolver string // DNS server; "" is the system's
	keys     *dkim.Directory
	log      *slog.Logger
	metrics  *metrics
}

// Check asks the DNS server at each call: the queue knows how long a verdict
// lasts, and a client that waits for a cure must not wait for our cache too.
func (c *checker) Check(ctx context.Context, s queue.Subject, mailFrom string) []queue.Verdict {
	m := judge.Mail{Client: s.Client, From: s.From, MailFrom: mailFrom, Egress: s.Egress, FromSPF: s.FromSPF}
	for _, selector := range s.Selectors {
		key, err := c.keys.Key(s.Client, selector)
		if err != nil {
			m.KeyName, m.KeyTrouble = dkim.Name(s.Client, selector), err
			break
		}
		m.Keys = append(m.Keys, judge.Key{Domain: s.Client, Selector: selector, Public: key.Public()})
	}
	j := judge.Judge{DNS: &dns.Resolver{Server: c.resolver}, Log: c.log}
	o := j.Mail(ctx, m)
	c.metrics.judged(o.Verdicts)
	return o.Verdicts
}
