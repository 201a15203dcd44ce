package watch

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"enotify/cmd/enotify/figures"
	"enotify/cmd/enotify/forecast"
	"enotify/cmd/enotify/term"
	"enotify/queue"
)

// usual are the states that a bar shows anyway.
var usual = []queue.State{queue.Pending, queue.Sending, queue.Delivered}

// Frame is the picture for a terminal so wide.
func (w *Watch) Frame(p *Progress, width int) []string {
	paint := func(text string, s term.Style) string { return string(w.Screen.Paint(text, s)) }
	head := fmt.Sprintf("batch %d  ", p.ID)
	frame := []string{"", paint(head, term.Bold) + paint(p.State, term.StyleOf(p.State)) + "  " +
		term.Clip(p.Client+"  "+p.Subject, max(8, width-len(head)-len(p.State)-2))}
	bar := max(10, min(40, width-40))
	frame = append(frame, term.Gauge(bar, p.Settled(), p.Deferred, p.Total)+" "+term.Fit(p.speed(), width-bar-1))
	if p.Slowest != "" && p.ETA != nil {
		frame = append(frame, term.Cut(p.Slowest, width))
	}
	if counts := figures.Counts(p.Counts(), usual...); len(counts) > 0 {
		frame = append(frame, term.Fit(counts, width))
	}
	if why := p.why(); why != "" {
		frame = append(frame, term.Wrap(why, width)...)
	}
	if p.HasTurn != 0 {
		frame = append(frame, term.Cut(p.other(), width))
	}
	column := 22
	if width < 80 {
		column = 16
	}
	if len(p.Sites) > 0 {
		frame = append(frame, paint("most is left at", term.Bold))
	}
	for _, s := range p.Sites {
		line := term.Pad(term.Clip(s.Site, column), column) + fmt.Sprintf(" %9s left",
			figures.Count(s.Untried+s.Deferred))
		said := []string{}
		if s.Deferred > 0 {
			said = append(said, figures.Count(s.Deferred)+" deferred")
		}
		if s.Why != "" {
			said = append(said, s.Why)
		}
		frame = append(frame, term.Cut(line+"  "+strings.Join(said, ", "), width))
	}
	if len(p.Failures) > 0 {
		frame = append(frame, paint("turned away", term.Bold))
	}
	for i, f := range p.Failures {
		if i == whyShown {
			break
		}
		frame = append(frame, term.Cut(term.Pad(term.Clip(cmp.Or(f.Class, f.State), column),
			column)+fmt.Sprintf(" %9s %-8s  %s", figures.Count(f.Alike), f.State, f.Reply), width))
	}
	return frame
}

// Line is the picture in one line, for output that is not a terminal.
func (p *Progress) Line() string {
	said := append([]string{p.State + " " + figures.Share(p.Settled(), p.Total)}, p.speed()[1:]...)
	if p.Slowest != "" && p.ETA != nil {
		said = append(said, p.Slowest)
	}
	said = append(said, figures.Counts(p.Counts(), usual...)...)
	if len(p.Sites) > 0 && p.Sites[0].Why != "" {
		said = append(said, fmt.Sprintf("%s %s", p.Sites[0].Site, p.Sites[0].Why))
	}
	if why := p.why(); why != "" {
		said = append(said, term.Clip(why, 200))
	}
	if p.HasTurn != 0 {
		said = append(said, p.other())
	}
	return strings.Join(said, ", ")
}

// why says why it does not go on.
func (p *Progress) why() string {
	switch {
	case !p.NoNode:
		return p.Reason
	case p.Reason == "":
		return forecast.NoNode
	}
	return forecast.NoNode + "; " + p.Reason
}

// other names the batch that goes on while this one does not.
func (p *Progress) other() string {
	return fmt.Sprintf("batch %d has the turn: enotify batch watch %[1]d", p.HasTurn)
}

// speed says how far it is, how fast it goes, and when it is over.
func (p *Progress) speed() []string {
	said := []string{figures.Share(p.Settled(), p.Total)}
	if p.PerSecond >= 0.05 {
		said = append(said, figures.Speed(p.PerSecond))
	}
	if p.ETA != nil {
		said = append(said, "about "+figures.Span(time.Duration(*p.ETA*float64(time.Second)))+" to go")
	} else if p.NextDue != nil && p.FinishedAt == nil && p.Pending+p.Sending == 0 {
		said = append(said, "next try "+nextTry(time.Until(*p.NextDue)))
	}
	return said
}

func nextTry(wait time.Duration) string {
	if wait <= 0 {
		return "now"
	}
	return "in " + figures.Span(wait)
}
