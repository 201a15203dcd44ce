package render

import (
	"fmt"
	"math"
	"strings"
	"time"

	"enotify/cmd/enotify/figures"
	"enotify/cmd/enotify/preflight"
)

// A siteRow is a line of the table of sites, with its bar.
type siteRow struct {
	Name, Domains, Recipients, Done, Limit string
	Width                                  string // of 100
}

const sitesShown = 10

func siteRows(sites []preflight.Site) []siteRow {
	total := 0
	for _, s := range sites {
		total += s.Recipients
	}
	line := func(name, limit string, domains, recipients, seconds int) siteRow {
		r := siteRow{Name: name, Recipients: figures.Count(recipients),
			Done: figures.Estimate(time.Duration(seconds) * time.Second), Limit: limit}
		r.Width = fmt.Sprintf("%.1f", 100*float64(recipients)/float64(max(1, total)))
		r.Domains = figures.Count(domains)
		return r
	}
	var out []siteRow
	shown := min(len(sites), sitesShown)
	for _, s := range sites[:shown] {
		out = append(out, line(s.Name, s.Limit, s.Domains, s.Recipients, s.Seconds))
	}
	var rest preflight.Site
	for _, s := range sites[shown:] {
		rest.Domains, rest.Recipients, rest.Seconds = rest.Domains+s.Domains, rest.Recipients+s.Recipients,
			max(rest.Seconds, s.Seconds)
	}
	if rest.Recipients > 0 {
		out = append(out, line("all others", "", rest.Domains, rest.Recipients, rest.Seconds))
	}
	return out
}

// A curveChart shows what is sent by when. Its drawing is 760 wide and 300
// high.
type curveChart struct {
	Caption string
	Rows    []gridRow
	Columns []gridColumn
	Lines   []curveLine
}

type gridRow struct {
	Y     int
	Label string
}

type gridColumn struct {
	X             int
	Label, Anchor string
	Minor         bool // is left out where there is little room
}

type curveLine struct{ Class, Points, Name string }

const (
	chartLeft, chartRight = 64, 748
	chartTop, chartBottom = 12, 264
	maxCurves             = 4
)

func newCurveChart(r *preflight.Report) *curveChart {
	if len(r.Curve) == 0 || r.Summary.Seconds == 0 {
		return nil
	}
	last := max(1, r.Summary.Seconds)
	c := &curveChart{Caption: fmt.Sprintf("All %s messages are sent after about %s.", figures.Count(r.Summary.Sendable),
		figures.Estimate(time.Duration(last)*time.Second))}
	if r.Summary.Slowest != "" {
		c.Caption += fmt.Sprintf(" The last to be done is %s.", r.Summary.Slowest)
	}
	for _, part := range []int{0, 25, 50, 75, 100} {
		c.Rows = append(c.Rows, gridRow{chartBottom - part*(chartBottom-chartTop)/100, fmt.Sprintf("%d %%", part)})
	}
	for i, anchor := range []string{"start", "middle", "middle", "middle", "end"} {
		at := time.Duration(last) * time.Second * time.Duration(i) / 4
		label := "0"
		if i > 0 {
			label = figures.Estimate(at)
		}
		if last < 4 && i > 0 && i < 4 {
			continue
		}
		c.Columns = append(c.Columns, gridColumn{chartLeft + i*(chartRight-chartLeft)/4, label, anchor, i%2 == 1})
	}
	for i, curve := range r.Curve[:min(len(r.Curve), maxCurves)] {
		line := curveLine{Class: fmt.Sprintf("c%d", i),
			Name: fmt.Sprintf("%s (%s of all)", curve.Name, figures.Percent(curve.Share))}
		if curve.Name == "" {
			line.Name = "all together"
		}
		total := 1
		if n := len(curve.Sent); n > 0 {
			total = max(1, curve.Sent[n-1])
		}
		var points []string
		for k := range curve.Seconds {
			x := chartLeft + float64(curve.Seconds[k])/float64(last)*(chartRight-chartLeft)
			y := chartBottom - float64(curve.Sent[k])/float64(total)*(chartBottom-chartTop)
			points = append(points, fmt.Sprintf("%.1f,%.1f", x, y))
		}
		line.Points = strings.Join(points, " ")
		c.Lines = append(c.Lines, line)
	}
	return c
}

// A bounceChart shows the share of bounces of the last batches. Its drawing is
// 760 wide and 220 high.
type bounceChart struct {
	Caption string
	Limits  []bounceLimit
	Columns []bounceColumn
}

type bounceLimit struct {
	Y            int
	Label, Class string
}

type bounceColumn struct {
	X, Y, Width, Height, Middle, Over int
	Share, Label, Class               string
}

func newBounceChart(batches []preflight.BatchBounces) *bounceChart {
	if len(batches) == 0 {
		return nil
	}
	top := 0.06
	for _, b := range batches {
		top = math.Max(top, 1.15*b.Rate())
	}
	const bottom, height = 190, 165
	at := func(rate float64) int { return bottom - int(math.Round(height*rate/top)) }
	c := &bounceChart{
		Caption: "Bounced mail by batch. Above 2 % receivers slow a sender down, above 5 % they turn it away.",
		Limits:  []bounceLimit{{at(preflight.BounceWarn), "2 %", "warn"}, {at(preflight.BounceBlock), "5 %", "block"}},
	}
	slot := (chartRight - chartLeft) / len(batches)
	width := min(48, slot*3/5)
	for i, b := range batches {
		class := "pass"
		switch {
		case b.Rate() > preflight.BounceBlock:
			class = "block"
		case b.Rate() > preflight.BounceWarn:
			class = "warn"
		}
		middle := chartLeft + i*slot + slot/2
		y := min(at(b.Rate()), bottom-2)
		c.Columns = append(c.Columns, bounceColumn{
			X: middle - width/2, Y: y, Width: width, Height: bottom - y, Middle: middle, Over: y - 6,
			Share: figures.Percent(b.Rate()), Label: b.At.Format("2 Jan"), Class: class,
		})
	}
	return c
}
