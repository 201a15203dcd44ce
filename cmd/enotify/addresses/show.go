package addresses

import (
	"cmp"
	"fmt"
	"time"

	"enotify/cmd/enotify/figures"
	"enotify/cmd/enotify/term"
	"enotify/queue"
)

const (
	barWidth   = 30
	daysBefore = 14 // that are drawn
	daysAhead  = 5
)

// LayOne puts an address on a page, with each plan against what was sent.
func LayOne(p *term.Page, e queue.EgressAddress) {
	rows := [][]string{{"address", e.Addr.String()}, {"pool", e.Pool}, {"state", state(e)}, {"node", announcers(e)},
		{"EHLO", cmp.Or(e.HELO, "the name of the node")}}
	if e.Bind.IsValid() {
		rows = append(rows, []string{"connects from", e.Bind.String()})
	}
	rows = append(rows, []string{"rate", rate(e.Rate)}, []string{"to each site", rate(e.SiteRate)},
		[]string{"weight", figures.Count(e.Weight)})
	if e.Note != "" {
		rows = append(rows, []string{"note", e.Note})
	}
	t := e.Today
	rows = append(rows, []string{"today",
		fmt.Sprintf("%s sent, %s accepted, %s refused for the address (UTC)", figures.Count(t.Begun),
			figures.Count(t.Accepted), figures.Count(t.Refused))})
	p.Table(nil, rows...)
	for _, w := range e.Warmups {
		layPlan(p, w)
	}
}

// layPlan draws a line for each day: what was sent, and for today and the days to come
// what the plan allows.
func layPlan(p *term.Page, w queue.Warmup) {
	where := "all sites together"
	if w.Site != "*" {
		where = "site " + w.Site
	}
	p.Heading("Warm-up, %s", where)
	n, capped := Cap(w)
	switch {
	case !capped:
		p.Line("warm: there is no limit any more")
	case w.Day == nil:
		p.Line("begins with %s a day, once a node announces the address", figures.Some(n, "message"))
	default:
		p.Line("day %d of %d: %s of %s sent; what is above %s", w.Step+1, len(w.Caps), figures.Count(w.Today().Begun),
			figures.Some(n, "message"), overflow(w))
	}
	if w.Why != "" {
		p.Line("it did not grow: %s", w.Why)
	}
	most := 1
	for _, d := range w.Days {
		most = max(most, d.Begun)
	}
	for i := w.Step; i < min(len(w.Caps), w.Step+1+daysAhead); i++ {
		most = max(most, w.Caps[i])
	}
	var rows [][]string
	days := w.Days[max(0, len(w.Days)-daysBefore):]
	today := time.Time{}
	if w.Day != nil {
		today = *w.Day
	}
	for _, d := range days {
		if d.Day.Before(today) {
			rows = append(rows, []string{d.Day.Format("Mon 2 Jan"), figures.Count(d.Begun), "", trouble(d),
				term.Gauge(barWidth, d.Begun, 0, most)})
		}
	}
	if capped {
		for i := 0; i <= daysAhead && w.Step+i < len(w.Caps); i++ {
			name, sent, d := fmt.Sprintf("in %s", figures.Some(i, "day")), "", queue.EgressDay{}
			limit := w.Caps[w.Step+i]
			if i == 0 {
				d, limit = w.Today(), n
				name, sent = "today", figures.Count(d.Begun)
			}
			rows = append(rows, []string{name, sent, figures.Count(limit), trouble(d),
				term.Gauge(barWidth, d.Begun, max(0, limit-d.Begun), most)})
		}
	}
	p.Table([]string{"DAY (" + w.Zone + ")", "SENT", "ALLOWED", "", "█ SENT ▒ ALLOWED"}, rows...)
}

func overflow(w queue.Warmup) string {
	if w.Overflow == "pool" {
		return "leaves from warm addresses of the pool"
	}
	return "waits for the next day"
}

func trouble(d queue.EgressDay) string {
	said := ""
	if d.Refused > 0 {
		said = figures.Count(d.Refused) + " refused"
	}
	if d.Complaints > 0 {
		said += " " + figures.Count(d.Complaints) + " complaints"
	}
	return said
}
