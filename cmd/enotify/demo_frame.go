package main

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"enotify/cmd/enotify/figures"
	"enotify/queue"
)

// compose is the frame for a terminal so wide: a line per batch, and a line per receiver.
func (s *screen) compose(now standing, width int) []string {
	bar := min(40, max(8, width-62))
	frame := []string{"", s.brush.paint("batches, one at a time", bold)}
	for _, b := range now.batches {
		state := s.brush.paint(fmt.Sprintf("%-8s", b.State), tones[b.State])
		frame = append(frame, fmt.Sprintf("%-13s %s %s %11s  ", b.IdemKey, state, gauge(bar, settled(b), b.Deferred, b.Total), share(settled(b), b.Total))+
			fit(remarksOn(b), width-bar-37))
	}
	frame = append(frame, s.brush.paint("receivers, each at its own pace", bold))
	for _, h := range now.hosts {
		frame = append(frame, fmt.Sprintf("%-22s %s %11s  ", h.host.domain, gauge(bar, h.tried-h.deferred, h.deferred, h.total), share(h.tried, h.total))+
			fit(s.remarksAt(h), width-bar-37))
	}
	return frame
}

// line says what has changed, for those who look at no terminal.
func (s *screen) line(now standing) {
	if time.Since(s.lined) < lineEvery {
		return
	}
	s.lined = time.Now()
	var lines []string
	for _, b := range now.batches {
		lines = append(lines, fmt.Sprintf("%-17s %-8s %11s  %s", b.IdemKey, b.State, share(settled(b), b.Total), fit(remarksOn(b), 80)))
	}
	for _, h := range now.hosts {
		lines = append(lines, fmt.Sprintf("  at %-21s %11s  %s", h.host.domain, share(h.tried, h.total), fit(s.remarksAt(h), 80)))
	}
	for _, line := range lines {
		if line = strings.TrimRight(line, " "); !s.said[line] {
			s.said[line] = true
			s.say("%s", line)
		}
	}
}

// settled is the number of recipients that have an outcome.
func settled(b queue.Status) int { return b.Total - b.Pending - b.Sending - b.Deferred }

// remarksOn are the counts of a batch that are out of the ordinary.
func remarksOn(b queue.Status) (said []string) {
	for _, c := range b.Counts() {
		switch c.State {
		case queue.Pending, queue.Sending, queue.Delivered:
		default:
			if c.N > 0 {
				said = append(said, figures.Count(c.N)+" "+string(c.State))
			}
		}
	}
	return said
}

// remarksAt say how it goes at a receiver just now.
func (s *screen) remarksAt(h hostStanding) (said []string) {
	if perSecond := s.pace(h); h.tried < h.total {
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

// fit joins the remarks that there is room for.
func fit(remarks []string, width int) string {
	text := ""
	for _, remark := range remarks {
		if text != "" {
			remark = ", " + remark
		}
		if utf8.RuneCountInString(text+remark) > width {
			break
		}
		text += remark
	}
	return text
}

// A pace is how fast a receiver takes messages.
type pace struct {
	since     time.Time
	accepted  int
	perSecond float64
}

// paceOver is the time over which it is measured.
const paceOver = time.Second

func (s *screen) pace(h hostStanding) float64 {
	p := s.paces[h.host]
	if p == nil {
		p = &pace{since: time.Now(), accepted: h.accepted}
		s.paces[h.host] = p
	}
	if passed := time.Since(p.since); passed >= paceOver {
		*p = pace{time.Now(), h.accepted, float64(h.accepted-p.accepted) / passed.Seconds()}
	}
	return p.perSecond
}

func share(n, of int) string { return figures.Count(n) + "/" + figures.Count(of) }

// gauge is a bar: full for what is done, half for what is deferred.
func gauge(width, done, deferred, total int) string {
	total = max(1, total)
	full := done * width / total
	half := (done+deferred)*width/total - full
	return strings.Repeat("█", full) + strings.Repeat("▒", half) + strings.Repeat("░", width-full-half)
}
