package window

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // a container may have no zones of its own
)

const (
	day  = 24 * 60 // minutes
	week = 7 * day

	// horizon is how far [Window.Next] looks for a change: the only span of a week may be
	// skipped by clocks that are set forward. A window that has no change by
	// then is open, or closed, all week.
	horizon = 22 * 24 * time.Hour
)

// A Window is a set of minutes of the week, from Monday 00:00, in a time zone.
type Window struct {
	spec string
	zone *time.Location
	open []bool // by minute of the week
}

// A Span is a time during which a window is open: from Opens up to Closes.
type Span struct {
	Opens, Closes time.Time
}

var (
	days   = []string{"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"}
	spanIn = regexp.MustCompile(`^((?:\w{3}(?:-\w{3})?,)*\w{3}(?:-\w{3})?) (\d\d):(\d\d)-(\d\d):(\d\d)$`)
)

// Read reads a window as the function read_window of the schema writes it. An error
// means that the text is none of its own, or that the zone is not known here.
func Read(spec string) (*Window, error) {
	at := strings.LastIndexByte(spec, ' ')
	if at < 0 {
		return nil, fmt.Errorf("window %q names no time zone", spec)
	}
	w := &Window{spec: spec, open: make([]bool, week)}
	var err error
	if w.zone, err = time.LoadLocation(spec[at+1:]); err != nil {
		return nil, fmt.Errorf("window %q: the time zone is not known to this program: %w", spec, err)
	}
	for _, text := range strings.Split(spec[:at], ", ") {
		part := spanIn.FindStringSubmatch(text)
		if part == nil {
			return nil, fmt.Errorf("window %q: cannot read %q", spec, text)
		}
		opens, closes := minutes(part[2], part[3]), minutes(part[4], part[5])
		if closes <= opens {
			closes += day
		}
		for _, name := range strings.Split(part[1], ",") {
			first, last, isRange := strings.Cut(name, "-")
			if !isRange {
				last = first
			}
			a, b := slices.Index(days, first), slices.Index(days, last)
			if a < 0 || b < 0 {
				return nil, fmt.Errorf("window %q: cannot read %q", spec, text)
			}
			for d := a; ; d = (d + 1) % 7 {
				for m := opens; m < closes; m++ {
					w.open[(d*day+m)%week] = true
				}
				if d == b {
					break
				}
			}
		}
	}
	return w, nil
}

func minutes(hours, minutes string) int {
	h, _ := strconv.Atoi(hours)
	m, _ := strconv.Atoi(minutes)
	return h*60 + m
}

// String is the window as it was read.
func (w *Window) String() string { return w.spec }

// Zone is its time zone.
func (w *Window) Zone() *time.Location { return w.zone }

// Open reports whether the window is open at t.
func (w *Window) Open(t time.Time) bool {
	local := t.In(w.zone)
	return w.open[minuteOfWeek(local)]
}

func minuteOfWeek(local time.Time) int {
	return (int(local.Weekday())+6)%7*day + local.Hour()*60 + local.Minute()
}

// Next is the span that is open at t, or the next one. Of a span that is open it
// gives t itself as the start. A window that never closes gives a span that ends
// after more than a week; one that never opens gives ok false.
func (w *Window) Next(t time.Time) (s Span, ok bool) {
	s.Opens = t
	if !w.Open(t) {
		if s.Opens, ok = w.change(t, t.Add(horizon)); !ok {
			return Span{}, false
		}
	}
	s.Closes, _ = w.change(s.Opens, s.Opens.Add(horizon))
	return s, true
}

// change is the first moment after t at which the window opens or closes; ok is
// false, and the moment until, when there is none before.
func (w *Window) change(t, until time.Time) (at time.Time, ok bool) {
	was := w.Open(t)
	for at = t; at.Before(until); {
		local := at.In(w.zone)
		// Up to the next change of the offset, clocks run as everywhere.
		_, offsetEnds := local.ZoneBounds()
		m := minuteOfWeek(local)
		ahead := 1
		for ahead < week && w.open[(m+ahead)%week] == w.open[m] {
			ahead++
		}
		// By the local clock: an offset need not be of whole minutes.
		into := time.Duration(local.Second())*time.Second + time.Duration(local.Nanosecond())
		next := at.Add(time.Duration(ahead)*time.Minute - into)
		if !offsetEnds.IsZero() && next.After(offsetEnds) {
			next = offsetEnds
		}
		if at = next; w.Open(at) != was {
			return at, at.Before(until)
		}
	}
	return until, false
}
