package preflight

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"enotify/cmd/enotify/figures"
	"enotify/cmd/enotify/forecast"
)

// curvesShown are the slowest sites that have a curve of their own.
const curvesShown = 3

// forecast simulates the batch, and puts the result into the report.
func (in *Input) forecast(r *Report) Finding {
	f := Finding{ID: "eta", Severity: Info}
	if in.Plan.Limits == nil {
		f.Severity, f.Found = NotChecked, "Nobody told the limits of the receivers."
		r.Summary.Uncertain = "it was not estimated"
		return f
	}
	p, c := in.Plan, in.foretold()
	_, warming := warming(c)
	in.draw(r, c)
	if c.Late {
		f.Severity, f.Found = Warn, "At these limits it takes over two months."
		r.Summary.Uncertain = "over two months"
		return f
	}
	r.Summary.Seconds = int(c.End.Round(time.Second) / time.Second)
	f.Found = fmt.Sprintf("Everybody is tried within about %s.", figures.Estimate(c.End))
	if c.Paused != "" {
		f.Found += " It waits for " + c.Paused + " meanwhile."
	}
	switch {
	case len(p.Ahead) > 0:
		f.Found += fmt.Sprintf(" It begins in %s, after %s that has the turn before.", figures.Estimate(c.Begin),
			figures.Some(len(p.Ahead), "batch"))
	case c.Begin > 0:
		f.Found += fmt.Sprintf(" It begins in %s.", figures.Estimate(c.Begin))
	}
	for i, s := range c.Sites {
		if i == curvesShown || s.End < c.End/4 {
			break
		}
		f.Evidence = append(f.Evidence, fmt.Sprintf("%s: %s in %s, held back by %s", s.Name,
			figures.Some(s.N, "message"), figures.Estimate(s.End), p.HeldBy(s)))
	}
	f.Evidence = append(f.Evidence, warming...)
	f.Evidence = append(f.Evidence, assumed(p, c)...)
	if len(c.Sites) > 1 && c.Sites[0].End > 0 {
		r.Summary.Slowest = c.Sites[0].Name
	}
	if expires := in.Batch.ExpiresAt; !expires.IsZero() && in.Now.Add(c.End).After(expires) {
		f.Severity = Warn
		left := float64(in.sendable()) - sentBy(c.Points, expires.Sub(in.Now))
		f.Found = fmt.Sprintf("It takes %s, but the batch expires in %s: about %s would not be tried.",
			figures.Estimate(c.End), figures.Estimate(expires.Sub(in.Now)), figures.Some(int(left), "recipient"))
		f.Advice = "Let it expire later, begin earlier, or raise the limits of the slowest destinations (enotify destination set) where their operators allow it."
	}
	return f
}

// assumed says what a forecast rests on, and what it leaves out.
func assumed(p forecast.Plan, c forecast.Forecast) []string {
	how := ""
	switch {
	case p.Measured:
		how = " (what the nodes measured lately, over all sites)"
	case p.Message == 0:
		how = " (nothing was measured yet; --message-time says otherwise)"
	}
	again := "nobody is deferred"
	if c.Deferred > 0 {
		again = fmt.Sprintf("%s deferred as in the last days, and tried again %s later", are(c.Deferred),
			figures.Span(c.Done-c.End))
	}
	said := []string{fmt.Sprintf("assumed: a message takes %s in one connection%s; %s",
		cmp.Or(p.Message, forecast.DefaultMessage).Round(time.Millisecond/10), how, again)}
	retries := 0
	for _, w := range p.Retries {
		if slices.ContainsFunc(c.Sites, func(s forecast.SiteForecast) bool { return s.Name == w.Site }) {
			retries += w.N
		}
	}
	if retries > 0 {
		said = append(said, fmt.Sprintf("counted: %s of earlier batches at the same sites that will be tried again meanwhile", figures.Some(retries, "recipient")))
	}
	if p.Overlap && len(p.Ahead) > 0 {
		said = append(said, "not counted: the nodes run with --turn destination, so it may begin sooner, while the batch before only waits for slow sites")
	}
	return said
}

func are(n int) string {
	if n == 1 {
		return "1 recipient is"
	}
	return figures.Some(n, "recipient") + " are"
}

// sentBy reads a curve at a time.
func sentBy(points []forecast.Point, at time.Duration) float64 {
	for i, p := range points {
		switch {
		case p.At < at:
		case i == 0:
			return 0
		default:
			from := points[i-1]
			return from.Sent + (p.Sent-from.Sent)*float64(at-from.At)/float64(p.At-from.At)
		}
	}
	return points[len(points)-1].Sent
}

// Waiting are the recipients that can be sent to, by domain.
func (in *Input) Waiting() []forecast.Waiting {
	own := []forecast.Waiting{}
	for _, c := range in.Census.Domains {
		if in.Directory.Facts[c.Domain].NoMail == nil {
			own = append(own, forecast.Waiting{Domain: c.Domain, Site: in.Directory.site(c.Domain), N: c.N})
		}
	}
	return own
}

// draw puts the forecast into the table of sites and the curves.
func (in *Input) draw(r *Report, c forecast.Forecast) {
	by := map[string]forecast.SiteForecast{}
	for _, s := range c.Sites {
		by[s.Name] = s
	}
	for i := range r.Sites {
		s := &r.Sites[i]
		s.Seconds = int(by[s.Name].End.Round(time.Second) / time.Second)
		s.Limit = in.Plan.HeldBy(by[s.Name])
	}
	r.Curve = []Curve{newCurve("", 1, forecast.Point{At: c.Begin}, c.Points)}
	for _, s := range c.Sites[:min(len(c.Sites), curvesShown)] {
		r.Curve = append(r.Curve, newCurve(s.Name, float64(s.N)/float64(max(1, in.sendable())),
			forecast.Point{At: c.Begin}, s.Points))
	}
}

func newCurve(name string, share float64, first forecast.Point, points []forecast.Point) Curve {
	c := Curve{Name: name, Share: share}
	for _, p := range append([]forecast.Point{first}, points...) {
		at := int(p.At.Round(time.Second) / time.Second)
		if n := len(c.Seconds); n > 0 && c.Seconds[n-1] == at {
			c.Sent[n-1] = int(p.Sent + 0.5)
			continue
		}
		c.Seconds, c.Sent = append(c.Seconds, at), append(c.Sent, int(p.Sent+0.5))
	}
	return c
}
