package demo

import (
	"fmt"
	"strings"
	"time"

	"enotify/cmd/enotify/figures"
	"enotify/cmd/enotify/term"
	"enotify/queue"
)

// A board shows how things stand: as a frame on a terminal, elsewhere as lines,
// now and then.
type board struct {
	screen *term.Screen
	lined  time.Time
	said   map[string]bool // lines that came already
	paces  map[*mailHost]*pace
}

// lineEvery is the time between two rounds of lines.
const lineEvery = 2 * time.Second

func newBoard(s *term.Screen) *board {
	return &board{screen: s, lined: s.Began, said: map[string]bool{}, paces: map[*mailHost]*pace{}}
}

func (d *board) draw(now snapshot) {
	if d.screen.Draws() {
		d.screen.Redraw(d.compose(now, d.screen.Width()))
		return
	}
	d.line(now)
}

// usual are the states that a bar shows anyway.
var usual = []queue.State{queue.Pending, queue.Sending, queue.Delivered}

// compose is the frame for a terminal of that width: a line per batch, and a
// line per receiver.
func (d *board) compose(now snapshot, width int) []string {
	bar := min(40, max(8, width-62))
	frame := []string{"", d.paint("batches, one at a time", term.Bold)}
	for _, b := range now.batches {
		state := d.paint(fmt.Sprintf("%-8s", b.State), term.StyleOf(b.State))
		frame = append(frame, fmt.Sprintf("%-13s %s %s %11s  ", b.IdemKey, state,
			term.Gauge(bar, b.Settled(), b.Deferred, b.Total), figures.Share(b.Settled(), b.Total))+
			term.Fit(figures.Counts(b.Counts(), usual...), width-bar-37))
	}
	frame = append(frame, d.paint("receivers, each at its own pace", term.Bold))
	for _, h := range now.hosts {
		frame = append(frame, fmt.Sprintf("%-22s %s %11s  ", h.host.domain,
			term.Gauge(bar, h.tried-h.deferred, h.deferred, h.total), figures.Share(h.tried, h.total))+
			term.Fit(d.remarksAt(h), width-bar-37))
	}
	return frame
}

func (d *board) paint(text string, style term.Style) string {
	return string(d.screen.Paint(text, style))
}

// line says what has changed, for output that is not a terminal.
func (d *board) line(now snapshot) {
	if time.Since(d.lined) < lineEvery {
		return
	}
	d.lined = time.Now()
	var lines []string
	for _, b := range now.batches {
		lines = append(lines, fmt.Sprintf("%-17s %-8s %11s  %s", b.IdemKey, b.State,
			figures.Share(b.Settled(), b.Total), term.Fit(figures.Counts(b.Counts(), usual...), 80)))
	}
	for _, h := range now.hosts {
		lines = append(lines, fmt.Sprintf("  at %-21s %11s  %s", h.host.domain, figures.Share(h.tried, h.total),
			term.Fit(d.remarksAt(h), 80)))
	}
	for _, line := range lines {
		if line = strings.TrimRight(line, " "); !d.said[line] {
			d.said[line] = true
			d.screen.Say("%s", line)
		}
	}
}

// remarksAt say how it goes at a receiver just now.
func (d *board) remarksAt(h hostProgress) (said []string) {
	if perSecond := d.pace(h); h.tried < h.total {
		if perSecond >= 1 {
			said = append(said, fmt.Sprintf("%.0f/s", perSecond))
		}
		if h.open > 0 {
			said = append(said, figures.Some(h.open, "connection"))
		}
	}
	if h.deferred > 0 {
		said = append(said, figures.Count(h.deferred)+" deferred")
	}
	return said
}

// A pace is how fast a receiver takes messages.
type pace struct {
	since     time.Time
	accepted  int
	perSecond float64
}

// paceOver is the time over which it is measured.
const paceOver = time.Second

func (d *board) pace(h hostProgress) float64 {
	p := d.paces[h.host]
	if p == nil {
		p = &pace{since: time.Now(), accepted: h.accepted}
		d.paces[h.host] = p
	}
	if passed := time.Since(p.since); passed >= paceOver {
		*p = pace{time.Now(), h.accepted, float64(h.accepted-p.accepted) / passed.Seconds()}
	}
	return p.perSecond
}
