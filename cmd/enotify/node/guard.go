package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"

	"enotify/queue"
	"enotify/sender/dkim"
	"enotify/spfguard"
	"enotify/spfguard/dns"
)

// checker is the guard's [guard.Checker] over the DNS and the keys of this node.
type checker struct {
	resolver string // DNS server; "" is the system's
	keys     *dkim.Directory
	log      *slog.Logger
}

// Check asks the DNS server at each call: the queue knows how long a verdict
// lasts, and a client that waits for a cure must not wait for our cache too.
func (c *checker) Check(ctx context.Context, sender string, egress []queue.Egress) []queue.Verdict {
	spf := &spfguard.Checker{Resolver: &dns.Resolver{Server: c.resolver}}
	verdicts := make([]queue.Verdict, len(egress))
	fix := sync.OnceValues(func() (line, ask string) { return c.fix(ctx, spf, sender, egress) })
	for i, e := range egress {
		v := verdictOf(spf.Verdict(ctx, spfguard.Query{IP: e.Addr, Sender: sender, HELO: e.HELO}))
		if v.Blocks {
			var ask string
			if v.Fix, ask = fix(); ask != "" {
				v.Explanation += " " + ask
			}
		}
		verdicts[i] = v
	}
	return verdicts
}

// verdictOf is a verdict as the queue keeps it.
func verdictOf(v spfguard.Verdict) queue.Verdict {
	return queue.Verdict{
		Result: string(v.Result), Blocks: v.Decision == spfguard.Block, Record: v.Record, Explanation: v.Explanation, ValidFor: v.TTL,
	}
}

// Key is the name of a key's record; an error says that this node cannot sign with it.
func (c *checker) Key(client, selector string) (name string, err error) {
	_, err = c.keys.Key(client, selector)
	return dkim.Name(client, selector), err
}

// fix is the zone line under which every egress address passes, "" when there
// is none. ask is what has to be done beside, or answered first.
func (c *checker) fix(ctx context.Context, spf *spfguard.Checker, sender string, egress []queue.Egress) (line, ask string) {
	q := spfguard.FixQuery{Domain: domainOf(sender), Sender: sender}
	for _, e := range egress {
		q.Egress = append(q.Egress, e.Addr)
		q.HELO = e.HELO
	}
	found, err := spf.Fix(ctx, q)
	var doubt *spfguard.DoubtError
	if errors.As(err, &doubt) {
		return "", "Ask the client, since the record names senders that a new one must not leave out: " + strings.Join(doubt.Questions, " ")
	}
	if err != nil {
		c.log.Warn("no fix was found for a record that blocks", "domain", q.Domain, "error", err, "next", "enotify spf fix "+q.Domain)
		return "", ""
	}
	for _, text := range found.Delete {
		ask += fmt.Sprintf("Delete the TXT record %q. ", text)
	}
	return spfguard.ZoneLine(found.Domain, found.After), strings.TrimSpace(ask)
}

func domainOf(address string) string { return address[strings.LastIndexByte(address, '@')+1:] }
