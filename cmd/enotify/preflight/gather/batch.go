package gather

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"enotify/cmd/enotify/forecast"
	"enotify/cmd/enotify/preflight"
	"enotify/queue"
	"enotify/queue/insight"
	"enotify/sender/compose"
)

// A Campaign is what a report is about: a batch, or a message not yet enqueued.
type Campaign struct {
	ID int64 // of the batch; 0: there is none, and what follows says what it would be

	Batch      queue.Batch
	Recipients func() (queue.Recipient, error) // io.EOF after the last
	NotBefore  time.Time
}

// Campaign gathers all that the checks of a batch look at.
func (s *Sources) Campaign(ctx context.Context, what Campaign) (*preflight.Input, error) {
	state, window, begun := "", "", false
	if what.ID != 0 {
		batch, err := s.DB.Status(ctx, what.ID)
		if err != nil {
			return nil, err
		}
		if batch.State == "done" || batch.State == "cancelled" {
			return nil, fmt.Errorf("batch %d is %s: there is nothing left to check", batch.ID, batch.State)
		}
		content, err := s.DB.Content(ctx, what.ID)
		if err != nil {
			return nil, err
		}
		what.Batch, state = *content, batch.State
		if batch.NotBefore != nil {
			what.NotBefore = *batch.NotBefore
		}
		begun = batch.StartedAt != nil
		if batch.SendWindow != nil {
			window = *batch.SendWindow
		}
	}
	if what.ID != 0 && s.Pool == "" {
		pool, err := s.DB.BatchPool(ctx, what.ID)
		if err != nil {
			return nil, err
		}
		s.Pool = pool
	}
	in, err := s.Client(ctx, what.Batch.From)
	if err != nil {
		return nil, err
	}
	in.Batch, in.BatchID, in.State = &what.Batch, what.ID, state
	if in.Plan, err = s.plan(ctx, what, window, state, begun, in); err != nil {
		return nil, err
	}
	if what.ID == 0 {
		what.Batch.Client = in.Client
		for _, k := range in.Keys {
			what.Batch.DKIMSelectors = append(what.Batch.DKIMSelectors, k.Selector)
		}
	}
	if err := s.census(ctx, what, in); err != nil {
		return nil, err
	}
	if err := s.askDomains(ctx, in); err != nil {
		return nil, err
	}
	if in.Plan.Own.Domains == nil {
		in.Plan.Own.Domains = in.Waiting()
	}
	if err := in.Plan.Expect(ctx, s.DB); err != nil {
		return nil, err
	}
	return in, s.past(ctx, in)
}

// plan is what the forecast goes by. Of a batch that has begun it has the recipients
// that are left: their sites are known.
func (s *Sources) plan(
	ctx context.Context, what Campaign, window, state string, begun bool, in *preflight.Input,
) (forecast.Plan, error) {
	p, err := forecast.Before(ctx, s.DB, what.ID, in.Now)
	if err != nil {
		return p, err
	}
	p.Own.NotBefore, p.Own.Client, p.Own.Priority = what.NotBefore, in.Client, what.Batch.Priority
	if p.Own.Pool, err = s.pool(ctx, in.Client); err != nil {
		return p, err
	}
	if err := p.Own.Within(ctx, s.DB, window); err != nil && !errors.Is(err, queue.ErrNotFound) {
		return p, err
	}
	if begun {
		if err := p.Rest(ctx, s.DB, what.ID, state); err != nil {
			return p, err
		}
	}
	if s.Message > 0 {
		p.Message, p.Measured = s.Message, false
	}
	return p, nil
}

// pool is the one that the batch leaves from.
func (s *Sources) pool(ctx context.Context, client string) (string, error) {
	if s.Pool != "" {
		return s.Pool, nil
	}
	c, err := s.DB.Client(ctx, client)
	if errors.Is(err, queue.ErrNotFound) {
		return queue.DefaultPool, nil
	}
	return c.Pool, err
}

// census counts the recipients and renders their messages.
func (s *Sources) census(ctx context.Context, what Campaign, in *preflight.Input) error {
	broken := compose.Check(&what.Batch)
	mail, err := s.renderer(ctx, in)
	if err != nil {
		return err
	}
	q := insight.CensusQuery{
		Batch: what.ID, Client: in.Client, Recipients: what.Recipients, Shapes: broken == nil && merges(&what.Batch),
		Step: func(what string) { s.say("%s", what) },
	}
	return insight.Of(s.DB).TakeCensus(ctx, q,
		func(c *insight.Census, alike func(insight.Shape, int) ([]string, error)) (err error) {
			in.Census = c
			if broken != nil {
				in.Rendering = preflight.Rendering{Err: broken}
				return nil
			}
			s.say("rendering the messages")
			batch := what.Batch
			if s.Keys.Path == "" || in.KeysRemote { // it cannot be signed here; dkim.sign says so
				batch.DKIMSelectors = nil
			}
			in.Rendering, err = preflight.Render(&batch, c, mail.Render, alike)
			return err
		})
}

// batchesShown are the last ones of the client whose bounces are shown.
const batchesShown = 12

// past looks at what the client sent before.
func (s *Sources) past(ctx context.Context, in *preflight.Input) error {
	v, err := insight.Of(s.DB).Volume(ctx, in.Client)
	if err != nil {
		return err
	}
	in.SentToday, in.LargestDay = v.LastDay, v.LargestDay
	batches, err := insight.Of(s.DB).LastBatches(ctx, in.Client, in.BatchID, batchesShown)
	slices.Reverse(batches)
	for _, b := range batches {
		in.Bounces = append(in.Bounces, preflight.BatchBounces{Batch: b.ID, At: b.At.UTC(), Sent: b.Sent,
			Bounced: b.Bounced})
	}
	if err != nil {
		return err
	}
	domains, sites := preflight.Asked()
	if in.SentThere, err = insight.Of(s.DB).SentThere(ctx, in.Client, in.BatchID, domains, sites); err != nil {
		return err
	}
	if in.GmailBulkSince, err = insight.Of(s.DB).BulkSince(ctx, in.Client); err != nil {
		return err
	}
	in.Complaints, err = insight.Of(s.DB).Complaints(ctx, insight.Scope{Client: in.Client})
	return err
}
