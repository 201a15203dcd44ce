package main

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"enotify/cmd/enotify/figures"
)

// frame is the picture for a terminal so wide.
func (w *watch) frame(p *batchProgress, width int) []string {
	paint := w.screen.brush.paint
	head := fmt.Sprintf("batch %d  ", p.ID)
	frame := []string{"", paint(head, bold) + paint(p.State, tones[p.State]) + "  " + clip(p.Client+"  "+p.Subject, max(8, width-len(head)-len(p.State)-2))}
	bar := max(10, min(40, width-40))
	frame = append(frame, gauge(bar, settled(p.Status), p.Deferred, p.Total)+" "+fit(p.speed(), width-bar-1))
	if counts := remarksOn(p.Status); len(counts) > 0 {
		frame = append(frame, fit(counts, width))
	}
	if p.Reason != "" {
		frame = append(frame, strings.Split(wrap(p.Reason, width, ""), "\n")...)
	}
	column := 22
	if width < 80 {
		column = 16
	}
	if len(p.Sites) > 0 {
		frame = append(frame, paint("most is left at", bold))
	}
	for _, s := range p.Sites {
		line := pad(clip(s.Site, column), column) + fmt.Sprintf(" %9s left", figures.Count(s.Untried+s.Deferred))
		said := []string{}
		if s.Deferred > 0 {
			said = append(said, figures.Count(s.Deferred)+" deferred")
		}
		if s.Why != "" {
			said = append(said, s.Why)
		}
		frame = append(frame, cut(line+"  "+strings.Join(said, ", "), width))
	}
	if len(p.Failures) > 0 {
		frame = append(frame, paint("turned away", bold))
	}
	for i, f := range p.Failures {
		if i == whyShown {
			break
		}
		frame = append(frame, cut(pad(clip(orElse(f.Class, f.State), column), column)+fmt.Sprintf(" %9s %-8s  %s", figures.Count(f.Alike), f.State, f.Reply), width))
	}
	return frame
}

// line is the same in one, for those who look at no terminal.
func (p *batchProgress) line() string {
	said := append([]string{p.State + " " + share(settled(p.Status), p.Total)}, p.speed()[1:]...)
	said = append(said, remarksOn(p.Status)...)
	if len(p.Sites) > 0 && p.Sites[0].Why != "" {
		said = append(said, fmt.Sprintf("%s %s", p.Sites[0].Site, p.Sites[0].Why))
	}
	if p.Reason != "" {
		said = append(said, clip(p.Reason, 200))
	}
	return strings.Join(said, ", ")
}

// speed says how far it is, how fast it goes, and when it is over.
func (p *batchProgress) speed() []string {
	said := []string{share(settled(p.Status), p.Total)}
	if p.PerSecond >= 0.05 {
		said = append(said, perTimeShort(p.PerSecond))
	}
	if p.ETA != nil {
		said = append(said, "about "+span(time.Duration(*p.ETA*float64(time.Second)))+" to go")
	} else if p.NextDue != nil && p.FinishedAt == nil && p.Pending+p.Sending == 0 {
		said = append(said, "next try "+nextTry(time.Until(*p.NextDue)))
	}
	return said
}

func nextTry(wait time.Duration) string {
	if wait <= 0 {
		return "now"
	}
	return "in " + span(wait)
}

func perTimeShort(perSecond float64) string {
	if perSecond < 10 {
		return fmt.Sprintf("%.1f/s", perSecond)
	}
	return figures.Count(int(perSecond+0.5)) + "/s"
}

// pad fills text up with spaces to a width in characters.
func pad(text string, width int) string {
	return text + strings.Repeat(" ", max(0, width-utf8.RuneCountInString(text)))
}

// cut shortens a line of columns, which clip would join, to a width.
func cut(line string, width int) string {
	line = strings.TrimRight(strings.ReplaceAll(line, "\n", " "), " ")
	if r := []rune(line); len(r) > width {
		return string(r[:width-1]) + "…"
	}
	return line
}
