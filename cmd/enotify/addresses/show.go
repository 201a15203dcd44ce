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

// A Drawing is a plan of warm-up against what was sent.
type Drawing struct {
	Where string // the sites that it holds for
	Say   string // how far it is
	Why   string // it did not grow; "" when it did
	Zone  string // of its days
	Days  []PlanDay
	Most  int // messages of the largest day, at least 1
}

// A PlanDay is a day of a drawing: one that is over, today, or one to come.
type PlanDay struct {
	Name    string
	Sent    int
	Allowed int // 0 for a day that is over
	Ahead   bool
	Trouble string // refusals and complaints of the day
}

// Draw has a line for each day: what was sent, and for today and the days to come what
// the plan allows.
func Draw(w queue.Warmup) Drawing {
	d := Drawing{Where: "all sites together", Zone: w.Zone, Why: w.Why, Most: 1}
	if w.Site != "*" {
		d.Where = "site " + w.Site
	}
	n, capped := Cap(w)
	switch {
	case !capped:
		d.Say = "warm: there is no limit any more"
	case w.Day == nil:
		d.Say = fmt.Sprintf("begins with %s a day, once a node announces the address", figures.Some(n, "message"))
	default:
		d.Say = fmt.Sprintf("day %d of %d: %s of %s sent; what is above %s", w.Step+1, len(w.Caps),
			figures.Count(w.Today().Begun), figures.Some(n, "message"), overflow(w))
	}
	today := time.Time{}
	if w.Day != nil {
		today = *w.Day
	}
	for _, past := range w.Days[max(0, len(w.Days)-daysBefore):] {
		if past.Day.Before(today) {
			d.Days = append(d.Days, PlanDay{Name: past.Day.Format("Mon 2 Jan"), Sent: past.Begun, Trouble: trouble(past)})
		}
	}
	for i := 0; capped && i <= daysAhead && w.Step+i < len(w.Caps); i++ {
		if i == 0 {
			now := w.Today()
			d.Days = append(d.Days, PlanDay{Name: "today", Sent: now.Begun, Allowed: n, Trouble: trouble(now)})
			continue
		}
		d.Days = append(d.Days, PlanDay{Name: "in " + figures.Some(i, "day"), Allowed: w.Caps[w.Step+i], Ahead: true})
	}
	for _, day := range d.Days {
		d.Most = max(d.Most, day.Sent, day.Allowed)
	}
	return d
}

// layPlan puts a drawing on a page.
func layPlan(p *term.Page, w queue.Warmup) {
	d := Draw(w)
	p.Heading("Warm-up, %s", d.Where)
	p.Line("%s", d.Say)
	if d.Why != "" {
		p.Line("it did not grow: %s", d.Why)
	}
	var rows [][]string
	for _, day := range d.Days {
		sent, allowed := figures.Count(day.Sent), ""
		if day.Ahead {
			sent = ""
		}
		if day.Allowed > 0 || day.Ahead {
			allowed = figures.Count(day.Allowed)
		}
		rows = append(rows, []string{day.Name, sent, allowed, day.Trouble,
			term.Gauge(barWidth, day.Sent, max(0, day.Allowed-day.Sent), d.Most)})
	}
	p.Table([]string{"DAY (" + d.Zone + ")", "SENT", "ALLOWED", "", "█ SENT ▒ ALLOWED"}, rows...)
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
