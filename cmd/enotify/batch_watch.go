package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"enotify/cmd/enotify/exit"
	"enotify/cmd/enotify/term"
	"enotify/queue"
	"enotify/queue/insight"
)

func (a *app) batchWatchCmd() *cobra.Command {
	return &cobra.Command{
		Use: "watch [ID]", Short: "Watch a batch until it ends, or the batch that has the turn", Args: cobra.MaximumNArgs(1),
		Long: `Shows the progress of a batch: how far and how fast, what is left at the slowest
sites and why, which recipients were refused. On a terminal the picture is
redrawn; in a pipe, and with -o json, a line is written when something changed.

Without ID it shows the batch that has the turn, then the next one, until it is
interrupted.

Exit codes, with ID: 0 done; 2 blocked; 1 cancelled, or an error.`,
		Example: "  enotify batch watch 42",
		RunE: func(cmd *cobra.Command, args []string) error {
			w := &watch{app: a, screen: a.newScreen()}
			if len(args) == 1 {
				id, err := batchID(args[0])
				if err != nil {
					return err
				}
				w.id = id
			}
			return a.withQueue(cmd.Context(), func(ctx context.Context, db *queue.DB) error {
				w.db = db
				return w.run(ctx)
			})
		},
	}
}

const (
	watchEvery   = 500 * time.Millisecond // between two looks
	detailsEvery = 2 * time.Second        // between two looks at sites and failures, at least
	detailsShare = 20                     // they take no more than one part in so many of the time
	tellEvery    = 5 * time.Second        // between two lines about one state
	paceFor      = 15 * time.Second       // that the rate is measured over
	sitesShown   = 5
	whyShown     = 5
)

// A watch is one run of batch watch.
type watch struct {
	*app
	db     *queue.DB
	screen *term.Screen
	id     int64 // 0: whichever has the turn

	samples   []sample
	details   batchProgress // as looked at last in full, which takes the database longer
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

// batchProgress is how a batch stands at one moment.
type batchProgress struct {
	queue.Status
	PerSecond float64           `json:"per_second"`
	ETA       *float64          `json:"seconds_left"` // nil: nobody can say
	NextDue   *time.Time        `json:"next_due_at"`
	Sites     []siteWaiting     `json:"sites"` // that most wait for
	Failures  []insight.Failure `json:"failures"`
}

type siteWaiting struct {
	insight.Waiting
	Why string `json:"why"` // it is slow; "" when nothing says so
}

func (w *watch) run(ctx context.Context) error {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		p, err := w.look(ctx)
		switch {
		case ctx.Err() != nil && w.id == 0:
			return nil
		case err != nil:
			return err
		case p == nil:
			w.idle()
		default:
			if err := w.show(p); err != nil {
				return err
			}
			if w.id != 0 && (p.State == "blocked" || p.FinishedAt != nil) {
				return ending(p)
			}
		}
		select {
		case <-ctx.Done():
			if w.id == 0 {
				return nil
			}
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// ending is what the program ends with.
func ending(p *batchProgress) error {
	switch p.State {
	case "blocked":
		return exit.With(exit.Blocked, fmt.Errorf("batch %d is blocked: %s; see enotify batch show %d", p.ID, term.Clip(p.Reason, 200), p.ID))
	case "cancelled":
		return fmt.Errorf("batch %d was cancelled: %s", p.ID, cmp.Or(term.Clip(p.Reason, 200), "no reason was given"))
	}
	return nil
}

// look reads how the batch stands; nil when none is under way.
func (w *watch) look(ctx context.Context) (*batchProgress, error) {
	p := &batchProgress{}
	var err error
	if w.id != 0 {
		p.Status, err = w.db.Status(ctx, w.id)
	} else {
		var found bool
		if p.Status, found, err = w.turn(ctx); err == nil && !found {
			return nil, nil
		}
	}
	if err != nil {
		return nil, err
	}
	if p.State == "draft" {
		return nil, fmt.Errorf("batch %d is a draft, and nothing of it is sent; enotify batch submit %d queues it", p.ID, p.ID)
	}
	p.PerSecond = w.pace(p)
	if left := p.Pending + p.Sending; left > 0 && p.PerSecond > 0 {
		eta := float64(left) / p.PerSecond
		p.ETA = &eta
	}
	p.NextDue, p.Sites, p.Failures = w.details.NextDue, w.details.Sites, w.details.Failures
	if w.details.ID == p.ID && w.details.State == p.State && time.Since(w.detailsAt) < max(detailsEvery, detailsShare*w.took) {
		return p, nil
	}
	asked := time.Now()
	if p.NextDue, err = insight.Of(w.db).NextDue(ctx, p.ID); err != nil {
		return nil, err
	}
	if p.Failures, err = insight.Of(w.db).Failures(ctx, p.ID, 1); err != nil {
		return nil, err
	}
	p.Sites, err = w.sites(ctx, p.ID)
	w.details, w.detailsAt, w.took = *p, time.Now(), time.Since(asked)
	return p, err
}

// turn is the batch that has the turn, or else one that is under way.
func (w *watch) turn(ctx context.Context) (queue.Status, bool, error) {
	all, err := w.db.Batches(ctx, queue.Filter{Since: time.Second})
	for _, state := range []string{"sending", "draining", "retrying"} {
		if i := slices.IndexFunc(all, func(s queue.Status) bool { return s.State == state }); i >= 0 {
			return all[i], true, err
		}
	}
	return queue.Status{}, false, err
}

func (w *watch) sites(ctx context.Context, batch int64) ([]siteWaiting, error) {
	waiting, err := insight.Of(w.db).Waiting(ctx, batch, sitesShown)
	if err != nil {
		return nil, err
	}
	learned, err := learnedInShort(ctx, w.db)
	sites := []siteWaiting{}
	for _, s := range waiting {
		sites = append(sites, siteWaiting{s, learned[s.Site]})
	}
	return sites, err
}

// pace is how many recipients a second were tried in the last while.
func (w *watch) pace(p *batchProgress) float64 {
	now := sample{p.ID, time.Now(), p.Total - p.Pending - p.Sending}
	w.samples = slices.DeleteFunc(w.samples, func(s sample) bool { return s.batch != now.batch || now.at.Sub(s.at) > paceFor })
	w.samples = append(w.samples, now)
	first := w.samples[0]
	if passed := now.at.Sub(first.at); passed > 0 && p.State == "sending" {
		return max(0, float64(now.tried-first.tried)/passed.Seconds())
	}
	return 0
}

// idle says that there is nothing to watch, once.
func (w *watch) idle() {
	if w.told != "idle" {
		w.told = "idle"
		w.screen.Redraw(nil)
		w.hint("no batch is under way; waiting for one (Ctrl-C ends)")
	}
}

// show draws the picture, or writes a line when it has something new to say.
func (w *watch) show(p *batchProgress) error {
	if w.screen.Draws() && w.output != "json" {
		w.told = ""
		w.screen.Redraw(w.frame(p, w.screen.Width()))
		return nil
	}
	over := p.State == "blocked" || p.FinishedAt != nil
	state := fmt.Sprint(p.ID, p.State, p.Reason, over)
	if state == w.told && time.Since(w.toldAt) < tellEvery {
		return nil
	}
	w.told, w.toldAt = state, time.Now()
	if w.output == "json" {
		return json.NewEncoder(w.stdout).Encode(p)
	}
	return w.say("%s  batch %d %s", time.Now().Format(time.TimeOnly), p.ID, p.line())
}
