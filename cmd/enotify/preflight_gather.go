package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"golang.org/x/time/rate"

	"enotify/cmd/enotify/figures"
	"enotify/cmd/enotify/keyring"
	"enotify/cmd/enotify/preflight"
	"enotify/cmd/enotify/term"
	"enotify/cmd/enotify/unsubscribe"
	"enotify/queue"
	"enotify/queue/insight"
	"enotify/sender"
	"enotify/sender/throttle"
	"enotify/sender/token"
	"enotify/spfguard/dns"
)

// gather finds out all that the checks look at.
func (p *preflightFlags) gather(ctx context.Context, db *queue.DB, what campaign) (*preflight.Input, error) {
	state := ""
	if what.id != 0 {
		s, err := db.Status(ctx, what.id)
		if err != nil {
			return nil, err
		}
		if s.State == "done" || s.State == "cancelled" {
			return nil, fmt.Errorf("batch %d is %s: %w", s.ID, s.State, errOver)
		}
		content, err := db.Content(ctx, what.id)
		if err != nil {
			return nil, err
		}
		what.batch, state = *content, s.State
		if s.NotBefore != nil {
			what.notBefore = *s.NotBefore
		}
	}
	in, err := p.input(ctx, db, what.batch.From)
	if err != nil {
		return nil, err
	}
	in.Batch, in.BatchID, in.State = &what.batch, what.id, state
	if in.Plan, err = p.plan(ctx, db, what.id, what.notBefore, in.Now); err != nil {
		return nil, err
	}
	if what.id == 0 {
		what.batch.Client = in.Client
		for _, k := range in.Keys {
			what.batch.DKIMSelectors = append(what.batch.DKIMSelectors, k.Selector)
		}
	}
	progress := term.NewProgress(p.stderr)
	defer progress.End()
	if err := p.census(ctx, db, what, in, progress); err != nil {
		return nil, err
	}
	if err := p.askDomains(ctx, db, in); err != nil {
		return nil, err
	}
	return in, past(ctx, db, in)
}

// census counts the recipients and renders their messages.
func (p *preflightFlags) census(ctx context.Context, db *queue.DB, what campaign, in *preflight.Input, progress *term.Progress) error {
	broken := sender.CheckTemplates(&what.batch)
	mail, err := p.renderer(ctx, db, in)
	if err != nil {
		return err
	}
	q := insight.CensusQuery{
		Batch: what.id, Client: in.Client, Recipients: what.recipients, Shapes: broken == nil && merges(&what.batch), Step: func(what string) { progress.Say("%s", what) },
	}
	return insight.Of(db).TakeCensus(ctx, q, func(c *insight.Census, alike func(insight.Shape, int) ([]string, error)) (err error) {
		in.Census = c
		if broken != nil {
			in.Rendering = preflight.Rendering{Err: broken}
			return nil
		}
		progress.Say("rendering the messages")
		in.Rendering, err = preflight.Render(&what.batch, c, mail.Render, alike)
		return err
	})
}

// renderer writes messages as a node does that has the same settings. What it
// signs addresses with is good for nothing: a report is handed around, and a
// link in it must not unsubscribe anybody. It also says where one unsubscribes.
func (p *preflightFlags) renderer(ctx context.Context, db *queue.DB, in *preflight.Input) (*sender.Sender, error) {
	mail := &sender.Sender{BounceDomain: p.bounceDomain, Keys: token.Keys{{ID: "0", Secret: []byte(rand.Text() + rand.Text())}}}
	if in.KeyTrouble == nil {
		mail.DKIM.Path = p.keys.Path
	}
	if p.publicURL == "" {
		return mail, nil
	}
	base, err := unsubscribe.ParseBase(p.publicURL)
	if err != nil {
		return nil, err
	}
	mail.PublicURL = base
	in.OneClick, err = oneClick(ctx, db, base, mail.Keys, in)
	return mail, err
}

// oneClick is how to try the unsubscribe page. Who may not read the keys of the
// nodes can only try it for nobody, with an address that no node signed.
func oneClick(ctx context.Context, db *queue.DB, base string, worthless token.Keys, in *preflight.Input) (*preflight.OneClick, error) {
	nobody := token.Subject{Batch: max(1, in.BatchID)}
	try := &preflight.OneClick{Says: unsubscribe.LinkUnknown}
	keys, err := (&keyring.Keyring{DB: db}).Load(ctx)
	switch {
	case denied(err):
		try.Unknown = base + "/u/" + worthless.Mint(token.Unsubscribe, nobody)
		try.Untried = "this login may not sign addresses as nodes do (that takes a member of enotify_sender), so the link of a recipient was not followed"
		return try, nil
	case err != nil:
		return &preflight.OneClick{Trouble: err}, nil
	}
	try.Unknown = base + "/u/" + keys.Mint(token.Unsubscribe, nobody)
	who, err := insight.Of(db).SomeRecipient(ctx, in.Client)
	if err != nil || who == nil {
		try.Untried = "no batch of this client was sent before, so the link of a recipient was not followed"
		return try, err
	}
	try.Known = base + "/u/" + keys.Mint(token.Unsubscribe, token.Subject{Batch: who.Batch, Seq: who.Seq})
	try.Acted = func(ctx context.Context) (bool, error) { return insight.Of(db).Suppressed(ctx, *who) }
	return try, nil
}

// denied reports whether the login lacks a privilege.
func denied(err error) bool {
	var no *pgconn.PgError
	return errors.As(err, &no) && no.Code == "42501" // insufficient_privilege
}

// merges reports whether there are merge fields in the batch.
func merges(b *queue.Batch) bool {
	for _, part := range []string{b.Subject, b.ListUnsubscribe, b.Text, b.HTML} {
		if sender.HasMergeFields(part) {
			return true
		}
	}
	return false
}

// renew forgets what the DNS said.
func (p *preflightFlags) renew(in *preflight.Input) {
	in.Now, in.DNS = time.Now(), &dns.Resolver{Server: p.resolver, MaxEntries: maxAnswers}
}

// maxAnswers of the DNS are remembered: three for each domain of a large batch.
const maxAnswers = 100_000

// factsAtOnce are read or written in one statement.
const factsAtOnce = 5000

// askDomains finds out who takes the mail of the recipients. What was found is
// kept for the next time, and for the node that will send.
func (p *preflightFlags) askDomains(ctx context.Context, db *queue.DB, in *preflight.Input) error {
	progress := term.NewProgress(p.stderr)
	defer progress.End()
	names := make([]string, len(in.Census.Domains))
	for i, c := range in.Census.Domains {
		names[i] = c.Domain
	}
	var known []queue.DomainFact
	for some := range slices.Chunk(names, factsAtOnce) {
		facts, err := insight.Of(db).DomainFacts(ctx, some)
		if err != nil {
			return err
		}
		known = append(known, facts...)
	}
	mail := &sender.Sender{Resolver: in.DNS}
	directory, found, err := preflight.AskDomains(ctx, in.Census.Domains, known, mail.Survey, func(done, all int) {
		progress.Say("asking the DNS for recipient domains: %s of %s", figures.Count(done), figures.Count(all))
	})
	if err != nil {
		return err
	}
	in.Directory = directory
	if p.smarthost != "" {
		in.Directory.Smarthost, _, _ = net.SplitHostPort(p.smarthost) // p.check has
		return nil                                                    // a node with a smarthost has another answer
	}
	for some := range slices.Chunk(found, factsAtOnce) {
		if err := db.NoteDomains(ctx, some); err != nil {
			return fmt.Errorf("keep what the DNS said of recipient domains: %w", err)
		}
	}
	return nil
}

// plan is what the forecast goes by: the limits that hold, what was learned of
// sites, and the batches that have the turn before.
func (p *preflightFlags) plan(ctx context.Context, db *queue.DB, batch int64, notBefore, now time.Time) (preflight.Plan, error) {
	limits := &throttle.Throttle{}
	plan := preflight.Plan{Limits: limits, Own: preflight.Load{NotBefore: notBefore}, Message: p.message}
	destinations, err := db.Destinations(ctx)
	if err != nil {
		return plan, err
	}
	policies := make(map[string]throttle.Policy, len(destinations))
	for _, d := range destinations {
		policies[d.Name] = throttle.PolicyOf(d)
	}
	limits.SetPolicies(policies)
	memos, _, err := db.Memos(ctx, time.Time{})
	if err != nil {
		return plan, err
	}
	limits.Restore(memos, now)
	ahead, err := insight.Of(db).Ahead(ctx, batch)
	if err != nil {
		return plan, err
	}
	for _, a := range ahead {
		load := preflight.Load{NotBefore: a.NotBefore}
		for _, d := range a.Domains {
			load.Domains = append(load.Domains, preflight.Waiting{Domain: d.Domain, Site: d.Site, N: d.N})
		}
		plan.Ahead = append(plan.Ahead, load)
	}
	retries, err := insight.Of(db).Retries(ctx, batch)
	if err != nil {
		return plan, err
	}
	for _, r := range retries {
		plan.Retries = append(plan.Retries, preflight.Waiting{Domain: r.Domain, Site: r.Site, N: r.N})
	}
	nodes, err := db.Nodes(ctx)
	if err != nil {
		return plan, err
	}
	plan.Most = preflight.MostPerNode * rate.Limit(max(1, len(nodes)))
	plan.Overlap = len(nodes) > 0 && !slices.ContainsFunc(nodes, func(n queue.Node) bool { return n.Turn != queue.ByDestination })
	if plan.Message == 0 {
		plan.Message = measured(nodes)
		plan.Measured = plan.Message > 0
	}
	return plan, nil
}

// measured is what a message takes in one connection, by the nodes that have
// sent any; 0 when none has.
func measured(nodes []queue.Node) (mean time.Duration) {
	n := time.Duration(0)
	for _, node := range nodes {
		if node.MessageTime > 0 {
			n++
			mean += node.MessageTime
		}
	}
	return mean / max(1, n)
}

// batchesShown are the last ones of the client whose bounces are shown.
const batchesShown = 12

// past looks at what the client sent before.
func past(ctx context.Context, db *queue.DB, in *preflight.Input) error {
	v, err := insight.Of(db).Volume(ctx, in.Client)
	if err != nil {
		return err
	}
	in.SentToday, in.LargestDay = v.LastDay, v.LargestDay
	batches, err := insight.Of(db).LastBatches(ctx, in.Client, in.BatchID, batchesShown)
	slices.Reverse(batches)
	for _, b := range batches {
		in.Bounces = append(in.Bounces, preflight.BatchBounces{Batch: b.ID, At: b.At.UTC(), Sent: b.Sent, Bounced: b.Bounced})
	}
	return err
}
