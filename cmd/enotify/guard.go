package main

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"enotify/queue"
	"enotify/spfguard"
	"enotify/spfguard/dns"
)

// guard asks, before a batch takes the turn and again while it is sent, what
// receivers will make of the client's SPF record, and has the queue act on it.
type guard struct {
	db       *queue.DB
	resolver *dns.Resolver
	log      *slog.Logger
	wake     chan struct{}
	judged   func() // called when a verdict may let a batch go on
}

func (g *guard) Wake() { nudge(g.wake) }

func (g *guard) run(ctx context.Context) {
	checker := &spfguard.Checker{Resolver: g.resolver}
	each(ctx, g.wake, func() {
		subjects, err := g.db.Unjudged(ctx)
		for _, s := range subjects {
			if err == nil {
				err = g.judge(ctx, checker, s)
			}
		}
		if err != nil && ctx.Err() == nil {
			g.log.Warn("the guard cannot work; no new batch begins", "error", err)
		}
	})
}

// judge checks every egress address for the MAIL FROM domain, and for the
// From: domain where it differs.
func (g *guard) judge(ctx context.Context, checker *spfguard.Checker, s queue.Subject) error {
	identities := []queue.Verdict{{Identity: "mailfrom", Domain: domainOf(s.MailFrom())}}
	if identities[0].Domain != s.Client {
		identities = append(identities, queue.Verdict{Identity: "from", Domain: s.Client})
	}
	var verdicts []queue.Verdict
	for _, v := range identities {
		for _, e := range s.Egress {
			from := s.MailFrom()
			if v.Identity == "from" {
				from = s.From
			}
			found := checker.Verdict(ctx, spfguard.Query{IP: e.Addr, Sender: from, HELO: e.HELO})
			if ctx.Err() != nil {
				return ctx.Err()
			}
			v.Egress, v.Result, v.Record, v.Explanation = e.Addr, string(found.Result), found.Record, found.Explanation
			v.Blocks = found.Decision == spfguard.Block
			v.ValidFor = validFor(found)
			verdicts = append(verdicts, v)
		}
	}
	blocked, freed, err := g.db.Judge(ctx, s.ClientID, verdicts)
	for _, id := range blocked {
		g.log.Warn("batch blocked: the client's SPF record does not let us send", "batch", id, "client", s.Client, "next", "enotify spf check "+s.Client)
	}
	for _, id := range freed {
		g.log.Info("batch freed: the client's SPF record lets us send again", "batch", id, "client", s.Client)
	}
	if len(freed) > 0 || len(blocked) == 0 {
		g.judged()
	}
	return err
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
