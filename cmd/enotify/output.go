package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// print writes a result to standard output: v as JSON, or what lay puts on a
// page for people.
func (a *app) print(v any, lay func(p *page)) error {
	w := bufio.NewWriter(a.stdout)
	if a.output == "json" {
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		if err := enc.Encode(v); err != nil {
			return err
		}
	} else {
		lay(&page{w: w, colour: a.colour(a.stdout), now: time.Now()})
	}
	return w.Flush()
}

// say prints a line of result.
func (a *app) say(format string, args ...any) error {
	_, err := fmt.Fprintf(a.stdout, format+"\n", args...)
	return err
}

// hint prints a line for people that is no result.
func (a *app) hint(format string, args ...any) {
	fmt.Fprintf(a.stderr, format+"\n", args...)
}

// A page is what people read of a result.
type page struct {
	w      *bufio.Writer // its error shows when it is flushed
	colour bool
	now    time.Time
}

func (p *page) line(format string, args ...any) {
	fmt.Fprintf(p.w, format+"\n", args...)
}

// heading begins a section.
func (p *page) heading(format string, args ...any) {
	p.line("")
	p.line("%s", p.paint(fmt.Sprintf(format, args...), bold))
}

// ago is a time as people see it, with how long ago it was or how far it is.
func (p *page) ago(t time.Time) string {
	d := t.Sub(p.now)
	if d > 0 {
		return clock(t) + " (in " + span(d) + ")"
	}
	return clock(t) + " (" + span(-d) + " ago)"
}

// clock is a time by the clock of whoever looks.
func clock(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05") }

// span is a duration, rounded to what is exact enough to plan by.
func span(d time.Duration) string {
	switch {
	case d < 2*time.Minute:
		return fmt.Sprintf("%d s", d.Round(time.Second)/time.Second)
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min", d.Round(time.Minute)/time.Minute)
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", d.Round(time.Hour)/time.Hour)
	default:
		return fmt.Sprintf("%d days", d.Round(24*time.Hour)/(24*time.Hour))
	}
}

// clip shortens text that came from elsewhere to a line of at most width
// characters.
func clip(text string, width int) string {
	r := []rune(strings.Join(strings.Fields(text), " "))
	if len(r) > width {
		r = append(r[:width-1], '…')
	}
	return string(r)
}
