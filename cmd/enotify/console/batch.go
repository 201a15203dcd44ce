package console

import (
	"context"
	"html/template"
	"slices"
	"time"

	"enotify/cmd/enotify/figures"
	"enotify/cmd/enotify/forecast"
	"enotify/queue"
	"enotify/queue/insight"
)

const (
	failuresShown = 5 // domains per state and class
	doubtsShown   = 20
	verdictsShown = 30
)

// An act is something that can be done with a batch in its state.
type act struct {
	Verb, Label string
	Grave       bool
}

// acts lists what can be done with a batch.
func acts(s queue.Status) (list []act) {
	switch s.State {
	case "queued", "sending", "draining", "retrying":
		list = append(list, act{"pause", "Pause", false})
	case "paused", "blocked":
		list = append(list, act{"resume", "Resume", false})
	}
	if s.FinishedAt == nil && s.State != "cancelled" {
		list = append(list, act{"cancel", "Cancel", true})
	}
	if s.SubmittedAt != nil && s.PrunedAt == nil && s.Bounced+s.Expired+s.Unknown > 0 {
		list = append(list, act{"requeue", "Send again", false})
	}
	return append(list, act{"preflight", "Preflight", false})
}

// batch is the page of one batch.
func (c *console) batch(id int64) []part {
	return []part{
		{"batch", lookEvery, func(ctx context.Context) (template.HTML, error) {
			s, err := c.db.Status(ctx, id)
			if err != nil {
				return "", err
			}
			due, err := insight.Of(c.db).NextDue(ctx, id)
			if err != nil {
				return "", err
			}
			toGo := ""
			if s.FinishedAt == nil && s.SubmittedAt != nil && s.State != "paused" && s.State != "blocked" {
				of, plan, err := forecast.Of(ctx, c.db, s, time.Now())
				if err != nil {
					return "", err
				}
				if of.Counts(s) {
					toGo = of.Line(plan)
				}
			}
			facts, err := c.draftFacts(ctx, s)
			if err != nil {
				return "", err
			}
			return c.batchHead(s, due, toGo, facts)
		}},
		{"verdicts", 2 * time.Second, func(ctx context.Context) (template.HTML, error) {
			s, err := c.db.Status(ctx, id)
			if err != nil || s.State != "blocked" {
				return "", err
			}
			return c.verdicts(ctx, s.Client, func(v queue.StoredVerdict) bool { return v.Blocks })
		}},
		{"failures", 3 * time.Second, func(ctx context.Context) (template.HTML, error) {
			list, err := insight.Of(c.db).Failures(ctx, id, failuresShown)
			if err != nil {
				return "", err
			}
			return fill("failures", list)
		}},
		{"doubts", 5 * time.Second, func(ctx context.Context) (template.HTML, error) {
			list, err := insight.Of(c.db).Doubts(ctx, id, doubtsShown)
			if err != nil {
				return "", err
			}
			type doubt struct {
				insight.Doubt
				Batch int64
			}
			var rows []doubt
			for _, d := range list {
				rows = append(rows, doubt{d, id})
			}
			return fill("doubts", rows)
		}},
		{"log", 2 * time.Second, func(ctx context.Context) (template.HTML, error) {
			list, err := insight.Of(c.db).History(ctx, id)
			if err != nil {
				return "", err
			}
			slices.Reverse(list)
			return fill("log", list)
		}},
	}
}

// draftFacts say of a draft whether it would go, if it is kept ready.
func (c *console) draftFacts(ctx context.Context, s queue.Status) ([]fact, error) {
	if s.State != "draft" {
		return nil, nil
	}
	kept, err := c.db.ReadyDrafts(ctx)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(kept, func(r queue.ReadyDraft) bool { return r.Batch == s.ID })
	if i < 0 {
		return nil, nil
	}
	switch r := kept[i]; {
	case r.CheckedAt == nil:
		return []fact{{"kept ready", "not checked yet", "a running node checks it"}}, nil
	case r.Goes():
		return []fact{{"kept ready", "it would go", "checked " + figures.Clock(*r.CheckedAt)}}, nil
	default:
		return []fact{{"kept ready", "it would not go", r.Line}}, nil
	}
}

// batchHead is what a batch's page begins with. due is when the next retry is, nil where
// there is none; toGo is the forecast, "" where nothing is left to try.
func (c *console) batchHead(s queue.Status, due *time.Time, toGo string, facts []fact) (template.HTML, error) {
	v := struct {
		Tone, Say string
		Row       row
		Facts     []fact
		Acts      []act
	}{Row: c.row(s), Acts: acts(s)}
	v.Tone, v.Say = v.Row.Tone, s.Subject
	if s.Reason != "" {
		v.Say += " — " + s.Reason
	}
	for _, n := range s.Counts() {
		if n.N > 0 {
			f := fact{string(n.State), figures.Count(n.N), ""}
			if n.State == queue.Deferred && due != nil {
				f.Note = "next try " + figures.Clock(*due)
			}
			v.Facts = append(v.Facts, f)
		}
	}
	all := fact{"in all", figures.Count(s.Total), ""}
	if s.State == "draft" {
		all = fact{"in all", "not submitted", "recipients are counted then"}
	}
	v.Facts = append(append(v.Facts, all, fact{"from", s.FromAddress, s.Client}), facts...)
	if v.Row.Speed != "" {
		v.Facts = append(v.Facts, fact{"speed", v.Row.Speed, ""})
	}
	if toGo != "" {
		v.Facts = append(v.Facts, fact{"to go", toGo, ""})
	}
	return fill("batch", v)
}

// verdicts are the guard's current ones on a client.
func (c *console) verdicts(ctx context.Context, client string, want func(queue.StoredVerdict) bool) (template.HTML,
	error) {
	all, err := c.db.Verdicts(ctx, client, verdictsShown)
	if err != nil {
		return "", err
	}
	return fill("verdicts", slices.DeleteFunc(all,
		func(v queue.StoredVerdict) bool { return v.SupersededAt != nil || !want(v) }))
}
