// Package watch shows how a batch goes: as a picture on a terminal, else as lines
// or objects of JSON.
package watch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"enotify/cmd/enotify/destinations"
	"enotify/cmd/enotify/exit"
	"enotify/cmd/enotify/figures"
	"enotify/cmd/enotify/forecast"
	"enotify/cmd/enotify/term"
	"enotify/queue"
	"enotify/queue/insight"
)

const (
	watchEvery   = 500 * time.Millisecond // between two looks
	detailsEvery = 2 * time.Second        // between two looks at sites and failures, at least
	detailsShare = 20                     // they take no more than one part in so many of the time
	tellEvery    = 5 * time.Second        // between two lines about one state
	paceFor      = 15 * time.Second       // that the rate is measured over
	sitesShown   = 5
	whyShown     = 5
)

// A Watch shows one batch, or one after the other as they have the turn.
type Watch struct {
	DB     *queue.DB
	Screen *term.Screen
	ID     int64 // 0: the batch that has the turn, until all its recipients were tried; then the next

	// JSON writes an object when something has changed, in place of a picture or line.
	JSON bool
	// Out gets the objects and lines.
	Out io.Writer
	// Hint gets what is no result.
	Hint io.Writer

	current   int64 // that it keeps to while ID is 0
	samples   []sample
	forecast  forecast.Forecast
	plan      forecast.Plan // that it was made by
	details   Progress      // as looked at last in full, which takes the database longer
	detailsAt time.Time
	took      time.Duration // that look

	told   string
	toldAt time.Time
}

// A sample is how many recipients had been tried at one moment.
type sample struct {
	batch int64
	at    time.Time
	tried int
}

// Progress is how a batch stands at one moment.
type Progress struct {
	queue.Status
	PerSecond float64    `json:"per_second"`
	ETA       *float64   `json:"seconds_left"` // nil: nobody can say
	NextDue   *time.Time `json:"next_due_at"`
	// the batch that has the turn while this one is paused, blocked or waits; 0: none
	HasTurn  int64             `json:"has_turn,omitempty"`
	NoNode   bool              `json:"no_node,omitempty"` // is running, though the batch is up to one
	Slowest  string            `json:"slowest"`           // site, and what holds it back; "" is none
	Sites    []Site            `json:"sites"`             // that most wait for
	Failures []insight.Failure `json:"failures"`
}

// A Site is one that a batch waits for.
type Site struct {
	insight.Waiting
	Why string `json:"why"` // it is slow; "" when nothing says so
}

// Run watches until the batch ends, or ctx does.
func (w *Watch) Run(ctx context.Context) error {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		p, err := w.look(ctx)
		switch {
		case ctx.Err() != nil && w.ID == 0:
			return nil
		case err != nil:
			return err
		case p == nil:
			w.idle()
		default:
			if err := w.show(p); err != nil {
				return err
			}
			if w.ID != 0 && (p.State == "blocked" || p.FinishedAt != nil) {
				return ending(p)
			}
		}
		select {
		case <-ctx.Done():
			if w.ID == 0 {
				return nil
			}
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// ending is what the program ends with.
func ending(p *Progress) error {
	switch p.State {
	case "blocked":
		return exit.With(exit.Blocked, fmt.Errorf("batch %d is blocked: %s; see enotify batch show %d", p.ID,
			term.Clip(p.Reason, 200), p.ID))
	case "cancelled":
		return fmt.Errorf("batch %d was cancelled: %s", p.ID, cmp.Or(term.Clip(p.Reason, 200), "no reason was given"))
	}
	return nil
}

// look reads how the batch stands; nil when none is under way.
func (w *Watch) look(ctx context.Context) (*Progress, error) {
	p := &Progress{}
	var err error
	if w.ID != 0 {
		p.Status, err = w.DB.Status(ctx, w.ID)
	} else {
		p, err = w.follow(ctx)
	}
	if err != nil || p == nil {
		return nil, err
	}
	if p.State == "draft" {
		return nil, fmt.Errorf("batch %d is a draft, and nothing of it is sent; enotify batch submit %d queues it",
			p.ID, p.ID)
	}
	p.PerSecond = w.pace(p)
	p.NextDue, p.Sites, p.Failures, p.Slowest = w.details.NextDue, w.details.Sites, w.details.Failures,
		w.details.Slowest
	p.NoNode = w.details.NoNode && p.FinishedAt == nil
	w.foretell(p)
	if w.details.ID == p.ID && w.details.State == p.State &&
		time.Since(w.detailsAt) < max(detailsEvery, detailsShare*w.took) {
		return p, nil
	}
	asked := time.Now()
	if p.NextDue, err = insight.Of(w.DB).NextDue(ctx, p.ID); err != nil {
		return nil, err
	}
	if p.Failures, err = insight.Of(w.DB).Failures(ctx, p.ID, 1); err != nil {
		return nil, err
	}
	if p.Sites, err = w.sites(ctx, p.ID); err != nil {
		return nil, err
	}
	w.forecast, w.plan, err = forecast.Of(ctx, w.DB, p.Status, asked)
	known := err == nil
	if errors.Is(err, queue.ErrDenied) {
		err = nil // an application sees no limits
		w.plan = forecast.Plan{}
	}
	p.NoNode = known && w.plan.Nodes == 0 && p.FinishedAt == nil && p.State != "paused" && p.State != "blocked"
	p.Slowest = w.forecast.Slowest(w.plan)
	w.foretell(p)
	w.details, w.detailsAt, w.took = *p, time.Now(), time.Since(asked)
	return p, err
}

// follow is the batch to show when none was named: the one shown before, until all
// its recipients were tried; else the batch that has the turn, or one that is under
// way. A batch that is paused stays, so that whoever watches it learns so.
func (w *Watch) follow(ctx context.Context) (p *Progress, err error) {
	var turn *queue.Status
	for _, state := range []string{"sending", "draining", "retrying"} {
		under, err := w.DB.Batches(ctx, queue.Filter{State: state, Since: time.Second, Limit: 1})
		if err != nil {
			return nil, err
		}
		if len(under) > 0 && under[0].FinishedAt == nil {
			turn = &under[0]
			break
		}
	}
	if w.current != 0 && (turn == nil || turn.ID != w.current) {
		now, err := w.DB.Status(ctx, w.current)
		tried := now.FinishedAt != nil || now.State == "retrying" && now.Pending+now.Sending == 0
		switch {
		case errors.Is(err, queue.ErrNotFound): // its client was removed
		case err != nil:
			return nil, err
		case !tried || now.FinishedAt == nil && turn == nil:
			p := &Progress{Status: now}
			if turn != nil {
				p.HasTurn = turn.ID
			}
			return p, nil
		}
	}
	if turn == nil {
		w.current = 0
		return nil, nil
	}
	w.current = turn.ID
	return &Progress{Status: *turn}, nil
}

// foretell says when everybody was tried, by the last forecast.
func (w *Watch) foretell(p *Progress) {
	p.ETA = nil
	if !w.forecast.Counts(p.Status) || w.plan.Nodes == 0 || w.forecast.Late || p.FinishedAt != nil || p.State == "paused" ||
		p.State == "blocked" {
		return
	}
	left := max(time.Second, w.forecast.Left(w.plan, time.Now())).Seconds()
	p.ETA = &left
}

func (w *Watch) sites(ctx context.Context, batch int64) ([]Site, error) {
	waiting, err := insight.Of(w.DB).Waiting(ctx, batch, sitesShown)
	if err != nil {
		return nil, err
	}
	learned, err := destinations.Learned(ctx, w.DB)
	sites := []Site{}
	for _, s := range waiting {
		sites = append(sites, Site{s, learned[s.Site]})
	}
	return sites, err
}

// pace is how many recipients a second were tried in the last while.
func (w *Watch) pace(p *Progress) float64 {
	now := sample{p.ID, time.Now(), p.Total - p.Pending - p.Sending}
	w.samples = slices.DeleteFunc(w.samples,
		func(s sample) bool { return s.batch != now.batch || now.at.Sub(s.at) > paceFor })
	w.samples = append(w.samples, now)
	first := w.samples[0]
	if passed := now.at.Sub(first.at); passed > 0 && p.State == "sending" {
		return max(0, float64(now.tried-first.tried)/passed.Seconds())
	}
	return 0
}

// idle says that there is nothing to watch, once.
func (w *Watch) idle() {
	if w.told != "idle" {
		w.told = "idle"
		w.Screen.Redraw(nil)
		fmt.Fprintln(w.Hint, "no batch is under way; waiting for one (Ctrl-C ends)")
	}
}

// show draws the picture, or writes a line when it has something new to say.
func (w *Watch) show(p *Progress) error {
	if w.Screen.Draws() && !w.JSON {
		w.told = ""
		w.Screen.Redraw(w.Frame(p, w.Screen.Width()))
		return nil
	}
	over := p.State == "blocked" || p.FinishedAt != nil
	state := fmt.Sprint(p.ID, p.State, p.Reason, over)
	if state == w.told && time.Since(w.toldAt) < tellEvery {
		return nil
	}
	w.told, w.toldAt = state, time.Now()
	if w.JSON {
		return term.WriteJSONLine(w.Out, p)
	}
	_, err := fmt.Fprintln(w.Out, term.Sprintf("%s  batch %d %s", figures.TimeOfDay(time.Now()), p.ID, p.Line()))
	return err
}
