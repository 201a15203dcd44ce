package console

import (
	"context"
	"fmt"
	"html/template"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"enotify/cmd/enotify/bouncereport"
	"enotify/cmd/enotify/destinations"
	"enotify/cmd/enotify/figures"
	"enotify/queue"
	"enotify/queue/insight"
)

const (
	batchesShown = 50
	sitesShown   = 15
	day          = 24 * time.Hour
)

// overview is the first page.
func (c *console) overview() []part {
	return []part{
		{"summary", lookEvery, c.summary},
		{"batches", lookEvery, func(ctx context.Context) (template.HTML, error) {
			return c.batches(ctx, queue.Filter{Since: day, Limit: batchesShown})
		}},
		{"blocked", 2 * time.Second, c.blocked},
		{"sites", 2 * time.Second, c.sites},
		{"plots", 30 * time.Second, c.plots},
		{"nodes", 2 * time.Second, c.nodes},
		{"reasons", time.Minute, c.reasons},
		{"complaints", time.Minute, c.complaints},
	}
}

// summary says in one word whether the operator has to act.
func (c *console) summary(ctx context.Context) (template.HTML, error) {
	open, err := c.db.OpenBatches(ctx)
	if err != nil {
		return "", err
	}
	nodes, err := c.db.Nodes(ctx)
	if err != nil {
		return "", err
	}
	under, waiting := open["sending"]+open["draining"]+open["retrying"], open["queued"]
	v := struct {
		Tone, Word, Say string
		Facts           []fact
	}{Facts: []fact{
		{"Under way", figures.Count(under), ""}, {"Waiting for their turn", figures.Count(waiting), ""},
		{"Paused", figures.Count(open["paused"]), ""}, {"Blocked", figures.Count(open["blocked"]), ""},
		{"Nodes", figures.Count(len(nodes)), ""},
	}}
	switch {
	case len(nodes) == 0 && under+waiting > 0:
		v.Tone, v.Word, v.Say = "block", "Nothing is sent", "No node runs, and "+figures.Some(under+waiting, "batch")+
			" would go. Start one: enotify run."
	case open["blocked"] > 0:
		v.Tone, v.Word = "warn", figures.Some(open["blocked"], "batch")+" blocked"
		v.Say = "The reason is beside each. A batch goes on by itself once its cause is cured."
	case under > 0:
		v.Tone, v.Word, v.Say = "pass", "Mail is going out", figures.Some(under, "batch")+" under way."
	case len(nodes) == 0:
		v.Tone, v.Word, v.Say = "info", "No node runs", "Nothing waits either."
	default:
		v.Tone, v.Word, v.Say = "pass", "All is quiet", "Nothing is being sent, and nothing is stuck."
	}
	return fill("summary", v)
}

// blocked lists the clients that an address of a live node may not send for.
func (c *console) blocked(ctx context.Context) (template.HTML, error) {
	nodes, err := c.db.Nodes(ctx)
	if err != nil {
		return "", err
	}
	var barred []queue.Barred
	for _, n := range nodes {
		for _, b := range n.Barred {
			if !slices.ContainsFunc(barred, func(o queue.Barred) bool { return o.Client == b.Client }) &&
				len(barred) < batchesShown {
				barred = append(barred, b)
			}
		}
	}
	return fill("blocked", barred)
}

// A siteRow is a site with mail that waits.
type siteRow struct {
	insight.Waiting
	Why string
}

func (c *console) sites(ctx context.Context) (template.HTML, error) {
	waiting, err := insight.Of(c.db).Busiest(ctx, sitesShown)
	if err != nil {
		return "", err
	}
	learned, err := destinations.Learned(ctx, c.db)
	if err != nil {
		return "", err
	}
	var rows []siteRow
	for _, w := range waiting {
		rows = append(rows, siteRow{w, learned[w.Site]})
	}
	return fill("sites", rows)
}

func (c *console) nodes(ctx context.Context) (template.HTML, error) {
	nodes, err := c.db.Nodes(ctx)
	if err != nil {
		return "", err
	}
	type nodeRow struct {
		Name, HELO, Version, Heartbeat string
		Groups                         int
		Addresses                      []netip.Addr
	}
	var rows []nodeRow
	for _, n := range nodes {
		// By whole seconds, so that the part changes only when there is something to see.
		rows = append(rows, nodeRow{n.Name, n.HELO, n.Version, figures.Span(n.Heartbeat.Truncate(2 * time.Second)),
			n.Groups, n.Egress})
	}
	return fill("nodes", rows)
}

// reasons are why mail of the last day has not arrived.
func (c *console) reasons(ctx context.Context) (template.HTML, error) {
	r, err := c.report(ctx)
	if err != nil {
		return "", err
	}
	type reason struct {
		Title      string
		Recipients int
		Width      string
	}
	var rows []reason
	for _, s := range r.Segments {
		if s.Recipients > 0 {
			rows = append(rows, reason{s.Title, s.Recipients,
				strconv.FormatFloat(100*float64(s.Recipients)/float64(r.Recipients), 'f', 1, 64)})
		}
	}
	return fill("reasons", rows)
}

// report is the bounce report of the last day.
func (c *console) report(ctx context.Context) (*bouncereport.Report, error) {
	scope := insight.Scope{Since: time.Now().Add(-day)}
	r := bouncereport.New(scope)
	if err := insight.Of(c.db).Refusals(ctx, scope, r.Add); err != nil {
		return nil, err
	}
	r.Finish(5)
	return r, nil
}

func (c *console) complaints(ctx context.Context) (template.HTML, error) {
	rates, err := insight.Of(c.db).Complaints(ctx, insight.Scope{})
	if err != nil {
		return "", err
	}
	r := bouncereport.New(insight.Scope{})
	r.Complained(rates)
	return fill("complaints", r.Complaints)
}

// bounces is the page of the bounce report of all clients within a day.
func (c *console) bounces() []part {
	return []part{{"report", time.Minute, func(ctx context.Context) (template.HTML, error) {
		r, err := c.report(ctx)
		if err != nil {
			return "", err
		}
		rates, err := insight.Of(c.db).Complaints(ctx, insight.Scope{})
		if err != nil {
			return "", err
		}
		r.Complained(rates)
		return r.Body()
	}}}
}

// A plot is messages over time.
type plot struct {
	Title, Caption, Top, From string
	Bars                      []plotBar
}

type plotBar struct{ X, Width, DoneY, Done, LostY, Lost string }

// plots are the last hour, day and month.
func (c *console) plots(ctx context.Context) (template.HTML, error) {
	read := insight.Of(c.db)
	var plots []plot
	for _, p := range []struct {
		title, from string
		last, step  time.Duration
		read        func(context.Context, time.Duration, time.Duration) ([]insight.Flow, error)
	}{
		{"Last hour", "60 min ago", time.Hour, time.Minute, read.Flow},
		{"Last day", "24 h ago", day, 30 * time.Minute, read.CoarseFlow},
		{"Last 30 days", "30 days ago", 30 * day, day, read.CoarseFlow},
	} {
		flow, err := p.read(ctx, p.last, p.step)
		if err != nil {
			return "", err
		}
		plots = append(plots, newPlot(p.title, p.from, flow, p.last, p.step, time.Now()))
	}
	return fill("plots", plots)
}

func newPlot(title, from string, flow []insight.Flow, last, step time.Duration, now time.Time) plot {
	const left, right, top, bottom = 40.0, 335.0, 20.0, 120.0
	p := plot{Title: title, From: from}
	most, delivered, failed := 1, 0, 0
	for _, f := range flow {
		most, delivered, failed = max(most, f.Delivered+f.Failed), delivered+f.Delivered, failed+f.Failed
	}
	p.Top = short(most)
	p.Caption = fmt.Sprintf("%s delivered, %s not", figures.Count(delivered), figures.Count(failed))
	width := (right - left) / (float64(last)/float64(step) + 1)
	number := func(f float64) string { return strconv.FormatFloat(f, 'f', 1, 64) }
	for _, f := range flow {
		x := right - width - (right-left-width)*float64(now.Sub(f.At)-step/2)/float64(last)
		if x < left-1 {
			continue
		}
		done, lost := (bottom-top)*float64(f.Delivered)/float64(most), (bottom-top)*float64(f.Failed)/float64(most)
		p.Bars = append(p.Bars, plotBar{number(min(x, right-width)), number(width * 0.85), number(bottom - done),
			number(done), number(bottom - done - lost), number(lost)})
	}
	return p
}

// short is a number for an axis: 950, 12k, 3M.
func short(n int) string {
	switch {
	case n >= 10_000_000:
		return strconv.Itoa(n/1_000_000) + "M"
	case n >= 10_000:
		return strconv.Itoa(n/1000) + "k"
	}
	return figures.Count(n)
}
