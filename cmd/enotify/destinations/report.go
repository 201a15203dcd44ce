package destinations

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"golang.org/x/time/rate"

	"enotify/cmd/enotify/figures"
	"enotify/cmd/enotify/term"
	"enotify/queue"
	"enotify/queue/insight"
	"enotify/sender/throttle"
)

// A Report tells all about one destination.
type Report struct {
	Name     string     `json:"name"`
	Domain   bool       `json:"domain"`       // it is a recipient domain
	Site     string     `json:"site"`         // that serves it, or itself; "" when that is not known yet
	Domains  int        `json:"site_domains"` // that it serves, when it is a site
	Limits   []limit    `json:"limits"`
	Learned  []string   `json:"learned"` // in words
	State    *learned   `json:"state"`   // the same for programs; nil when nothing was learned
	Deferred int        `json:"deferred"`
	Untried  int        `json:"untried"`
	NextDue  *time.Time `json:"next_due_at"`
	Next     []string   `json:"next"` // commands

	Encryption *Encryption `json:"encryption"` // of a recipient domain, see Explain
}

// learned is what the nodes know of a site; times are by this host's clock.
type learned struct {
	ClosedUntil *time.Time      `json:"closed_until"`
	Connections int             `json:"connections"` // 0: no ceiling was found
	ConnProbeAt *time.Time      `json:"connections_probed_at"`
	PerSecond   float64         `json:"messages_per_second"` // 0: it has not asked for fewer
	RateProbeAt *time.Time      `json:"rate_probed_at"`
	Why         string          `json:"last_refusal"`
	WhyAt       *time.Time      `json:"last_refusal_at"`
	Holds       []throttle.Hold `json:"holds"`
}

// Show tells all that is known of a domain or site.
func Show(ctx context.Context, db *queue.DB, name string, now time.Time) (*Report, error) {
	l, err := readLimits(ctx, db)
	if err != nil {
		return nil, err
	}
	s, err := insight.Of(db).Backlog(ctx, name)
	if err != nil {
		return nil, err
	}
	r := &Report{
		Name: name, Domain: s.IsDomain, Site: s.Site, Domains: s.Domains, Deferred: s.Deferred, Untried: s.Untried,
		NextDue: s.NextDue,
		Learned: []string{}, Next: []string{},
	}
	if s.IsSite || isSite(name) {
		r.Site = name
	}
	if name != r.Site || s.IsDomain {
		r.Limits = append(r.Limits, l.list(name, false)...)
	}
	if r.Site != "" {
		r.Limits = append(r.Limits, l.list(r.Site, true)...)
	}
	r.Limits = append(r.Limits, l.encryption(name, r.Site))
	for _, m := range s.Memos {
		state, err := throttle.ReadState(m.State, m.At)
		if err != nil {
			return nil, fmt.Errorf("what was learned of %s: %w; a newer enotify wrote it, use that", m.Name, err)
		}
		if m.Kind == queue.Site && m.Name == r.Site {
			r.tell(state, l.node.SitePolicy(m.Name), now)
		}
		r.tellNext(m, state, l, now)
	}
	return r, nil
}

// tell puts what was learned of the site into words.
func (r *Report) tell(s throttle.State, policy throttle.Policy, now time.Time) {
	p, site := s.Pace, r.Site
	say := func(format string, args ...any) { r.Learned = append(r.Learned, fmt.Sprintf(format, args...)) }
	if s.Bears > 0 && p.Ceiling == 0 {
		say("%s has answered well on %s at once: a node that starts opens as many, if there is mail for them.", site,
			figures.Some(s.Bears, "connection"))
	}
	if !p.Learned() && len(s.Holds) == 0 {
		return
	}
	r.State = &learned{Connections: p.Ceiling, PerSecond: float64(p.Rate), Why: p.Why, Holds: s.Holds,
		ClosedUntil: moment(p.ClosedUntil), ConnProbeAt: moment(p.ProbeAt), RateProbeAt: moment(p.RateProbeAt),
		WhyAt: moment(p.WhyAt)}
	switch {
	case now.Before(p.ClosedUntil):
		say("%s is closed to us until %s: it refused %s in a row. Then one message is sent as a probe.", site,
			until(p.ClosedUntil, now), figures.Some(p.Refusals, "message"))
	case p.Refusals > 0:
		say("%s has refused %s in a row: one message at a time is sent as a probe, until it takes one.", site,
			figures.Some(p.Refusals, "message"))
	}
	if p.Ceiling > 0 {
		say("%s bears %s at once: it refused one more. Another one is tried %s.", site,
			figures.Some(p.Ceiling, "connection"), soon(p.ProbeAt, now))
	}
	if p.Rate > 0 && p.Limit(policy.Rate) == p.Rate {
		say("%s gets %s: it asked for fewer than %s. More is tried %s.", site, perTime(p.Rate), perTime(p.RateCeiling),
			soon(p.RateProbeAt, now))
	}
	if p.Why != "" {
		say("It said at %s: %s", figures.Clock(p.WhyAt), term.Clip(p.Why, 200))
	}
	for _, h := range s.Holds {
		if now.Before(h.Until) {
			say("%s blocks %s: nothing is sent from there until %s, the %s hold in a row. It said at %s: %s",
				site, h.Egress, until(h.Until, now), ordinal(h.Times), figures.Clock(h.At), term.Clip(h.Reply, 200))
		} else {
			say("%s blocked %s until %s; then one message is sent as a probe. It said at %s: %s", site, h.Egress,
				figures.Clock(h.Until), figures.Clock(h.At), term.Clip(h.Reply, 200))
		}
	}
	if len(s.Holds) > 0 {
		r.Next = append(r.Next, fmt.Sprintf("enotify destination reset %s --learned   # when the cause is cured (delisted): tries it again at once", site))
	} else {
		r.Next = append(r.Next, fmt.Sprintf("enotify destination reset %s --learned   # forgets this: tries it again at once", site))
		connections, rate := max(1, cmp.Or(p.Ceiling, policy.Connections)), figures.WholeRate(p.Limit(policy.Rate))
		r.Next = append(r.Next, fmt.Sprintf("enotify destination set %s --connections %d --rate %s   # makes it the limit",
			site, connections, figures.FormatRate(rate)))
	}
}

// tellNext says when the next message may begin where the rate is slow.
func (r *Report) tellNext(m queue.Memo, s throttle.State, l *limits, now time.Time) {
	if s.Tokens == nil {
		return
	}
	speed := l.node.Policy(m.Name).Rate
	if m.Kind == queue.Site {
		speed = s.Pace.Limit(l.node.SitePolicy(m.Name).Rate)
	}
	if wait := time.Duration((1 - *s.Tokens) / float64(speed) * float64(time.Second)); wait > 0 &&
		s.At.Add(wait).After(now) {
		r.Learned = append(r.Learned, fmt.Sprintf("The next message to %s may begin at %s: its rate is %s.", m.Name,
			until(s.At.Add(wait), now), perTime(speed)))
	}
}

// Lay puts the report on a page.
func (r *Report) Lay(p *term.Page) {
	switch {
	case r.Name == throttle.Everyone:
		p.Line("* is every destination that has no limits of its own.")
	case r.Domain && r.Site == r.Name && r.Domains <= 1:
		p.Say("%s is a recipient domain, and the only one of its site.", r.Name)
	case r.Domain && r.Site == r.Name:
		p.Say("%s is a recipient domain, and a site that serves %s: its limits hold for the domain and for the site.",
			r.Name, figures.Some(r.Domains, "domain"))
	case r.Site == r.Name:
		p.Line("%s is a site: it serves %s.", r.Name, figures.Some(r.Domains, "domain"))
	case r.Site != "":
		p.Line("%s is a recipient domain of the site %s. The limits of both hold.", r.Name, r.Site)
	case !r.Domain:
		p.Say("No recipient domain or site of the name %s was seen yet. These limits hold once there is mail for it.", r.Name)
	default:
		p.Say("%s is a recipient domain; its site is not known until a batch with recipients there is looked at.",
			r.Name)
	}
	p.Heading("Limits")
	var rows [][]string
	for _, l := range r.Limits {
		rows = append(rows, []string{l.Of, l.What, l.Value, l.From})
	}
	p.Table([]string{"OF", "LIMIT", "VALUE", "FROM"}, rows...)
	if r.Encryption != nil {
		r.Encryption.lay(p, r.Name)
	}
	p.Heading("Learned")
	for _, line := range r.Learned {
		p.Say("%s", line)
	}
	if len(r.Learned) == 0 {
		p.Line("Nothing yet: no limit was hit.")
	}
	if r.Deferred+r.Untried > 0 {
		p.Heading("Waiting")
		p.Line("%s deferred, %s not tried yet.", figures.Some(r.Deferred, "recipient"), figures.Count(r.Untried))
		if r.NextDue != nil {
			p.Line("The next try is due at %s.", p.Ago(*r.NextDue))
		}
	}
	if len(r.Next) > 0 {
		p.Heading("Next")
		for _, command := range r.Next {
			p.Line("  %s", command)
		}
	}
}

func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func until(t, now time.Time) string {
	return figures.Clock(t) + " (in " + figures.Span(t.Sub(now)) + ")"
}

// soon is when something is tried that waits for a time and then for mail.
func soon(t, now time.Time) string {
	if now.Before(t) {
		return "after " + until(t, now)
	}
	return "when there is more mail for it"
}

// perTime is a rate in a sentence: 10 messages/min.
func perTime(l rate.Limit) string { return strings.Replace(figures.Rate(l), "/", " messages/", 1) }

func ordinal(n int) string {
	switch {
	case n%100/10 != 1 && n%10 == 1:
		return fmt.Sprintf("%dst", n)
	case n%100/10 != 1 && n%10 == 2:
		return fmt.Sprintf("%dnd", n)
	case n%100/10 != 1 && n%10 == 3:
		return fmt.Sprintf("%drd", n)
	}
	return fmt.Sprintf("%dth", n)
}
