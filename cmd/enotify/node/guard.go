package node

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"

	"enotify/queue"
	"enotify/sender/dkim"
	"enotify/spfguard"
	"enotify/spfguard/dns"
)

// guard asks, before a batch takes the turn and again while it is sent, what
// receivers will make of the client's SPF record, and has the queue act on it.
type guard struct {
	db       *queue.DB
	resolver string // DNS server; "" is the system's
	// bounceDomain is where return paths of clients go to that leave them to us.
	bounceDomain string

	keys   *dkim.Directory
	log    *slog.Logger
	wake   chan struct{}
	every  time.Duration // between two looks at a client that has nothing to send
	judged func()        // called when a verdict may let a batch go on
	alert  func(queue.Alert)
}

func (g *guard) Wake() { nudge(g.wake) }

func (g *guard) run(ctx context.Context) {
	each(ctx, g.wake, func() {
		subjects, err := g.db.Unjudged(ctx)
		if err == nil && len(subjects) == 0 {
			subjects, err = g.db.Unseen(ctx, g.every)
		}
		for _, s := range subjects {
			if err == nil {
				err = g.judge(ctx, s)
			}
		}
		if err != nil && ctx.Err() == nil {
			g.log.Warn("the guard cannot work; no new batch begins", "error", err)
		}
	})
}

// judge checks every egress address for the MAIL FROM domain, and for the
// From: domain where it differs. Each time it asks the DNS server anew: that a
// verdict lasts by TTL is the queue's to know, and whoever waits for a cure is
// not to wait for our cache as well.
func (g *guard) judge(ctx context.Context, s queue.Subject) error {
	checker := &spfguard.Checker{Resolver: &dns.Resolver{Server: g.resolver}}
	identities := []queue.Verdict{{Identity: "mailfrom", Domain: domainOf(s.MailFrom(g.bounceDomain))}}
	if identities[0].Domain != s.Client {
		identities = append(identities, queue.Verdict{Identity: "from", Domain: s.Client})
	}
	var verdicts []queue.Verdict
	for _, v := range identities {
		from := s.MailFrom(g.bounceDomain)
		if v.Identity == "from" {
			from = s.From
		}
		fix := sync.OnceValue(func() string { return g.fix(ctx, checker, from, s.Egress) })
		for _, e := range s.Egress {
			found := checker.Verdict(ctx, spfguard.Query{IP: e.Addr, Sender: from, HELO: e.HELO})
			if ctx.Err() != nil {
				return ctx.Err()
			}
			v.Egress, v.Result, v.Record, v.Explanation = e.Addr, string(found.Result), found.Record, found.Explanation
			v.Blocks = found.Decision == spfguard.Block
			v.ValidFor = validFor(found)
			v.Fix = ""
			if v.Blocks {
				v.Fix = fix()
			}
			verdicts = append(verdicts, v)
		}
	}
	if v, bad := g.unsignable(s); bad {
		for i := range verdicts { // who waits for a key is looked at again soon
			verdicts[i].ValidFor = min(verdicts[i].ValidFor, recheck)
		}
		for _, e := range s.Egress {
			v.Egress = e.Addr
			verdicts = append(verdicts, v)
		}
	}
	found, err := g.db.Judge(ctx, s, verdicts)
	for _, d := range found.Drifts {
		g.log.Warn("a client's SPF has changed", "client", s.Client, "domain", d.Domain, "egress", d.Egress, "was", d.WasResult, "since", d.WasSince, "is", d.Result,
			"was_record", d.WasRecord, "record", d.Record, "next", "enotify client show "+s.Client)
	}
	for _, id := range found.Blocked {
		g.log.Info("batch blocked: the guard does not let it leave", "batch", id, "client", s.Client)
	}
	for _, alert := range found.Alerts {
		g.alert(alert)
	}
	for _, v := range found.Barred {
		g.log.Warn("a node's address may not send for a client; the other nodes send what is under way, and nothing new begins", "client", s.Client,
			"egress", v.Egress, "result", v.Result, "fix", v.Fix, "next", "enotify spf check "+s.Client+" --ip "+v.Egress.String())
	}
	for _, id := range found.Freed {
		g.log.Info("batch freed: the guard lets it leave", "batch", id, "client", s.Client)
	}
	if len(found.Blocked) == 0 {
		g.judged()
	}
	return err
}

// unsignable is the verdict on a client whose mail is to be signed with a key
// that this node cannot use. Its batches wait, and not for their turn to end.
func (g *guard) unsignable(s queue.Subject) (v queue.Verdict, bad bool) {
	for _, selector := range s.Selectors {
		if _, err := g.keys.Key(s.Client, selector); err != nil {
			return queue.Verdict{Identity: "dkim", Domain: dkim.Name(s.Client, selector), Result: "fail", Blocks: true,
				Explanation: err.Error(), ValidFor: recheck}, true
		}
	}
	return queue.Verdict{}, false
}

// fix is the zone line under which every egress address passes, "" when there
// is none.
func (g *guard) fix(ctx context.Context, checker *spfguard.Checker, from string, egress []queue.Egress) string {
	q := spfguard.FixQuery{Domain: domainOf(from), Sender: from}
	for _, e := range egress {
		q.Egress = append(q.Egress, e.Addr)
		q.HELO = e.HELO
	}
	found, err := checker.Fix(ctx, q)
	if err != nil {
		g.log.Warn("no fix was found for a record that blocks", "domain", q.Domain, "error", err, "next", "enotify spf fix "+q.Domain)
		return ""
	}
	return spfguard.ZoneLine(found.Domain, found.After)
}

// recheck is how soon a verdict that stops a batch is asked for again.
const recheck = 30 * time.Second

// validFor is how long a verdict may be relied on: by TTL, but who waits for
// a cure is looked at again soon.
func validFor(v spfguard.Verdict) time.Duration {
	if v.Decision == spfguard.Block || v.Decision == spfguard.Wait {
		return min(v.TTL, recheck)
	}
	return v.TTL
}

func domainOf(address string) string { return address[strings.LastIndexByte(address, '@')+1:] }
