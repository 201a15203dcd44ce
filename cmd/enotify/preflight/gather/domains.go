package gather

import (
	"context"
	"fmt"
	"net"
	"slices"
	"time"

	"enotify/cmd/enotify/figures"
	"enotify/cmd/enotify/preflight"
	"enotify/queue"
	"enotify/queue/insight"
	"enotify/sender"
	"enotify/spfguard/dns"
)

// Refresh forgets what the DNS said, and asks again for the recipient domains.
func (s *Sources) Refresh(ctx context.Context, in *preflight.Input) error {
	in.Now, in.DNS = time.Now(), &dns.Resolver{Server: s.Resolver, MaxEntries: maxAnswers}
	return s.askDomains(ctx, in)
}

// maxAnswers of the DNS are remembered: three for each domain of a large batch.
const maxAnswers = 100_000

// factsAtOnce are read or written in one statement.
const factsAtOnce = 5000

// askDomains finds out who takes the mail of the recipients. What was found is
// kept for the next time, and for the node that will send.
func (s *Sources) askDomains(ctx context.Context, in *preflight.Input) error {
	names := make([]string, len(in.Census.Domains))
	for i, c := range in.Census.Domains {
		names[i] = c.Domain
	}
	var known []queue.DomainFact
	for some := range slices.Chunk(names, factsAtOnce) {
		facts, err := insight.Of(s.DB).DomainFacts(ctx, some)
		if err != nil {
			return err
		}
		known = append(known, facts...)
	}
	mail := &sender.Sender{Resolver: in.DNS, AllowMX: s.allowMX}
	for _, e := range in.Egress {
		mail.Own = append(mail.Own, e.Addr)
	}
	directory, found, err := preflight.AskDomains(ctx, in.Census.Domains, known, mail.Survey, func(done, all int) {
		s.say("asking the DNS for recipient domains: %s of %s", figures.Count(done), figures.Count(all))
	})
	if err != nil {
		return err
	}
	in.Directory = directory
	if s.Smarthost != "" {
		in.Directory.Smarthost, _, _ = net.SplitHostPort(s.Smarthost) // Check has looked at it
		return nil                                                    // a node with a smarthost has another answer
	}
	in.AskReach(ctx, mail.NotDialled)
	for some := range slices.Chunk(found, factsAtOnce) {
		if err := s.DB.NoteDomains(ctx, some); err != nil {
			return fmt.Errorf("keep what the DNS said of recipient domains: %w", err)
		}
	}
	return nil
}
