// Package destinations says what limits hold for a recipient domain or site, where
// they come from, and what the nodes have learned of it.
package destinations

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"enotify/cmd/enotify/figures"
	"enotify/cmd/enotify/term"
	"enotify/queue"
	"enotify/queue/insight"
	"enotify/sender/throttle"
)

// A Destination holds the limits in force for a recipient domain or site: set, or built in.
type Destination struct {
	Name          string     `json:"name"`
	Site          bool       `json:"site"`                // all domains of a provider; they share one rate
	Rate          string     `json:"rate"`                // as it was set, or in the shortest unit
	PerSecond     *float64   `json:"messages_per_second"` // nil: no limit
	Burst         int        `json:"burst"`
	Connections   int        `json:"connections"`
	PerConnection int        `json:"per_connection"`
	TLS           string     `json:"tls"` // "": as enotify run --tls says
	Set           []string   `json:"set"` // the fields that an operator set for this name
	UpdatedAt     *time.Time `json:"updated_at"`
	UpdatedBy     string     `json:"updated_by"` // login, and the person where one is known
	Learned       string     `json:"learned"`    // what keeps a site slower than that, in short; "" when nothing does
}

// List lists what holds: first for all, then what was set, then the sites
// known and the destinations about which something was learned.
func List(ctx context.Context, db *queue.DB) ([]Destination, error) {
	l, err := readLimits(ctx, db)
	if err != nil {
		return nil, err
	}
	learned, err := Learned(ctx, db)
	if err != nil {
		return nil, err
	}
	names := append([]string{throttle.Everyone}, slices.Sorted(maps.Keys(l.rows))...)
	names = append(names, throttle.Sites()...)
	names = append(names, slices.Sorted(maps.Keys(learned))...)
	sites, err := insight.Of(db).AreSites(ctx, names)
	if err != nil {
		return nil, err
	}
	var all []Destination
	for i, name := range names {
		if slices.Index(names, name) == i {
			d := l.describe(name, isSite(name) || slices.Contains(sites, name))
			d.Learned = learned[name]
			all = append(all, d)
		}
	}
	return all, nil
}

// Learned says of each site what keeps it slower than its limits.
func Learned(ctx context.Context, db *queue.DB) (map[string]string, error) {
	memos, _, err := db.Memos(ctx, time.Time{})
	if err != nil {
		return nil, err
	}
	learned := map[string]string{}
	for _, m := range memos {
		if state, err := throttle.ReadState(m.State, m.At); err == nil && m.Kind == queue.Site {
			if short := inShort(state, time.Now()); short != "" {
				learned[m.Name] = short
			}
		}
	}
	return learned, nil
}

// Lay puts a list on a page.
func Lay(p *term.Page, all []Destination) {
	var rows [][]string
	for _, d := range all {
		origin := "built in"
		if d.UpdatedAt != nil {
			origin = fmt.Sprintf("%s set by %s at %s", strings.Join(d.Set, ", "), d.UpdatedBy,
				figures.Clock(*d.UpdatedAt))
		}
		rows = append(rows, []string{d.Name, d.Rate, figures.Count(d.Burst), figures.Count(d.Connections),
			figures.Count(d.PerConnection), origin, d.Learned})
	}
	p.Table([]string{"DESTINATION", "RATE", "BURST", "CONNECTIONS", "PER CONNECTION", "ORIGIN", "LEARNED"}, rows...)
	p.Line("")
	p.Say("* is every destination that has no line of its own, and what a line leaves open. The rate of a recipient domain " +
		"limits its own messages, the rate of a site those of all its domains together. enotify destination show NAME tells more.")
}

// inShort is what was learned of a site in a few words, for a table.
func inShort(s throttle.State, now time.Time) string {
	p := s.Pace
	for _, h := range s.Holds {
		if now.Before(h.Until) {
			return fmt.Sprintf("blocks %s until %s", h.Egress, figures.Clock(h.Until))
		}
	}
	switch {
	case now.Before(p.ClosedUntil):
		return "closed until " + figures.Clock(p.ClosedUntil)
	case p.Rate > 0:
		return "bears " + perTime(p.Rate)
	case p.Ceiling > 0:
		return "bears " + figures.Some(p.Ceiling, "connection")
	}
	return ""
}
