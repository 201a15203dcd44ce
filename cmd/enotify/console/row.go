package console

import (
	"context"
	"fmt"
	"html/template"
	"math"
	"slices"
	"sync"
	"time"

	"enotify/cmd/enotify/figures"
	"enotify/cmd/enotify/forecast"
	"enotify/cmd/enotify/term"
	"enotify/queue"
)

// A fact is a figure at the head of a page.
type fact struct{ Label, Value, Note string }

// A gauge is how far a batch is, in a drawing 100 wide.
type gauge struct {
	Done, Lost, Wait, WaitAt float64
	Label                    string
}

func newGauge(s queue.Status) gauge {
	part := func(n int) float64 {
		if s.Total == 0 {
			return 0
		}
		return math.Round(1000*float64(n)/float64(s.Total)) / 10
	}
	g := gauge{Done: part(s.Delivered), Lost: part(s.Settled() - s.Delivered), Wait: part(s.Deferred)}
	g.WaitAt = g.Done + g.Lost
	g.Label = fmt.Sprintf("%s of %s delivered, %s not delivered, %s deferred", figures.Count(s.Delivered),
		figures.Some(s.Total, "recipient"),
		figures.Count(s.Settled()-s.Delivered), figures.Count(s.Deferred))
	return g
}

// A row is a batch in a table.
type row struct {
	ID                                   int64
	Subject, Client, State, Reason, Tone string
	Speed, ToGo, Settled, Total          string
	Bar                                  gauge
}

var stateTones = map[string]string{
	"sending": "info", "draining": "info", "retrying": "info", "queued": "none", "draft": "none",
	"paused": "warn", "blocked": "block", "cancelled": "none", "done": "pass",
}

func (c *console) row(s queue.Status) row {
	r := row{
		ID: s.ID, Subject: term.Clip(s.Subject, 80), Client: s.Client, State: s.State, Reason: term.Clip(s.Reason, 300),
		Tone:    stateTones[s.State],
		Settled: figures.Count(s.Settled()), Total: figures.Count(s.Total), Bar: newGauge(s),
	}
	perSecond := c.paces.of(s, time.Now())
	if s.State == "sending" && perSecond >= 0.05 {
		r.Speed = figures.Speed(perSecond)
	}
	return r
}

// forecasted is how many batches of a table, from the next one on, have a forecast.
const forecasted = 20

// batches is a table of batches, each with the forecast that batch list shows too.
func (c *console) batches(ctx context.Context, f queue.Filter) (template.HTML, error) {
	batches, err := c.db.Batches(ctx, f)
	if err != nil {
		return "", err
	}
	next, plan, err := forecast.Queue(ctx, c.db, forecasted, time.Now())
	if err != nil {
		return "", err
	}
	rows := make([]row, len(batches))
	for i, b := range batches {
		rows[i] = c.row(b)
		if of, ok := next[b.ID]; ok && plan.Nodes > 0 && of.Counts(b) {
			rows[i].ToGo = of.Short()
		}
	}
	return fill("batches", rows)
}

// paces measure how fast batches go, by the looks of all pages.
type paces struct {
	mu      sync.Mutex
	batches map[int64][]sample
}

type sample struct {
	at    time.Time
	tried int
}

// paceFor is what a speed is measured over.
const paceFor = 15 * time.Second

// of adds a look, and returns how many recipients a second were tried in the last while.
func (p *paces) of(s queue.Status, now time.Time) float64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.batches == nil {
		p.batches = map[int64][]sample{}
	}
	if s.State != "sending" {
		delete(p.batches, s.ID)
		return 0
	}
	kept := slices.DeleteFunc(p.batches[s.ID], func(k sample) bool { return now.Sub(k.at) > paceFor })
	kept = append(kept, sample{now, s.Total - s.Pending - s.Sending})
	p.batches[s.ID] = kept
	if passed := now.Sub(kept[0].at).Seconds(); passed >= 0.5 {
		return max(0, float64(kept[len(kept)-1].tried-kept[0].tried)/passed)
	}
	return 0
}
