// Package bouncereport says why mail has not arrived: by reason, with the replies
// behind it, as text, JSON or a page of HTML.
package bouncereport

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"enotify/cmd/enotify/figures"
	"enotify/cmd/enotify/term"
	"enotify/queue"
	"enotify/queue/insight"
	"enotify/sender/bounce"
)

// The segments of a bounce report, in the order in which they are to be looked
// at: first the four that each need a different response, then the rest. A segment
// with a kind of its own splits off the replies of a class that need other advice.
// In an advice,
// DOMAIN, CLIENT and ID are filled in where there is one to name.
var segments = []struct {
	class         queue.Class
	kind          string // "" is the class
	title, advice string
}{
	{queue.Offline, "", "The receiver is offline",
		"Nobody here can help that. They are tried again until the batch expires."},
	{queue.Throttled, "", "Too many connections, too fast",
		"Slowed down by itself, and tried again. Where it stays so: enotify destination set DOMAIN --rate 60/min --connections 2."},
	{queue.NoSuchUser, "", "The address is gone",
		"Suppressed for all clients already. Take them off the client's list: enotify suppression export."},
	{queue.AuthRejected, "", "Not authorised",
		"The client's DNS does not let us send: enotify spf check CLIENT, enotify client zone CLIENT. After the cure: enotify batch requeue ID --class auth_rejected."},
	{queue.MailboxFull, "", "The mailbox is full", fullAdvice},
	{queue.Throttled, greylisted, "Asked to come back later (greylisting)",
		"Many receivers do that with senders they do not know yet. Tried again by itself, and the site is not slowed down. Nothing to do."},
	{queue.AuthRejected, notTheirs, "The receiver takes no mail for the domain",
		"The domain's MX leads to a host that does not know it (relay access denied): no DNS of the client's is at fault. Final. Tell the domain's owner, or take the addresses off the client's list."},
	{queue.SpamBlock, "", "Taken for spam",
		"An address of ours is on a block list or has a poor name. Read the reply, ask to be taken off, and see how many complain: enotify destination list."},
	{queue.Policy, noMail, "The domain takes no mail",
		"The DNS says so: there is no such domain, it has no mail host, a null MX (RFC 7505), or only hosts that are not dialled. Final. Take the addresses off the client's list, or correct a mistyped domain."},
	{queue.Policy, "", "Refused by a rule of theirs",
		"Final for the message. Read the reply; ask their postmaster where it concerns many."},
	{queue.Content, "", "Refused for what it holds",
		"Final for the message. Look at size, attachments and links: enotify preflight ID."},
	{queue.Other, "", "Other", "No rule knows these replies. Read them; 4xx are tried again, 5xx are final."},
}

// Kinds that are no class.
const (
	greylisted = "greylisted"
	noMail     = "no_mail"
	notTheirs  = "their_domain"
)

// kindOf is the segment that a reply belongs to.
func kindOf(said insight.Said) string {
	switch {
	case said.Class == queue.Throttled && said.Code != 421 && markOf(said) == bounce.OneMessage:
		return greylisted
	case said.Class == queue.AuthRejected && markOf(said) == bounce.TheirDomain:
		return notTheirs
	case said.Code == 556, said.Class == queue.Policy && said.Enhanced == "5.1.10", said.Class == queue.Other &&
		said.Enhanced == "5.1.2":
		return noMail // RFC 7505 §4.2, RFC 3463 §3.2: a reply, or what we found before we asked
	}
	return string(said.Class)
}

// markOf is what sets a reply apart from others of its class.
func markOf(said insight.Said) bounce.Mark {
	v := bounce.Classify(queue.Reply{Code: said.Code, Enhanced: said.Enhanced, Text: said.Text}, "")
	if v.Class != said.Class {
		return ""
	}
	return v.Mark
}

// fullAdvice names the figures by which full mailboxes are left alone.
var fullAdvice = func() string {
	s := queue.MailboxFull.Treatment().Suppresses
	return fmt.Sprintf("Tried again; after %d such replies over %s or more the address is left alone for %s. Nothing to do.", s.Replies, figures.Days(s.Over), figures.Days(s.For))
}()

const mainSegments = 4

// A Report is why mail has not arrived.
type Report struct {
	Schema     int       `json:"schema"` // 1
	Client     string    `json:"client"` // "" is all
	Batch      int64     `json:"batch"`  // 0 is all
	Since      time.Time `json:"since"`
	At         time.Time `json:"at"`
	Recipients int       `json:"recipients"`
	Segments   []Segment `json:"segments"`
	Totals     *Totals   `json:"totals,omitempty"` // of one batch
	Rest       []Rest    `json:"rest,omitempty"`   // of one batch: recipients without a reply
	// Complaints are the rates of readers who called mail spam, in all and by site.
	Complaints []Complaint `json:"complaints"`
}

// A Segment is one reason.
type Segment struct {
	Class      queue.Class `json:"class"`
	Kind       string      `json:"kind"` // the class, or greylisted, no_mail or their_domain for a part of it
	Title      string      `json:"title"`
	Advice     string      `json:"advice"`
	Recipients int         `json:"recipients"`
	Waiting    int         `json:"waiting"` // of them: deferred, not given up
	Domains    []Counted   `json:"domains"` // those with the most
	Replies    []Counted   `json:"replies"` // the commonest, without what differs from one to the next

	domains, replies map[string]int
}

// A Counted text is a domain or a reply, with the number of its recipients.
type Counted struct {
	Text string `json:"text"`
	N    int    `json:"recipients"`
}

// New is a report to which replies are added.
func New(in insight.Scope) *Report {
	r := &Report{Schema: 1, Client: in.Client, Batch: in.Batch, Since: in.Since, At: time.Now(),
		Complaints: []Complaint{}}
	for _, s := range segments {
		r.Segments = append(r.Segments, Segment{Class: s.class, Kind: cmp.Or(s.kind, string(s.class)), Title: s.title,
			Advice: s.advice, domains: map[string]int{}, replies: map[string]int{}})
	}
	return r
}

// maxAlike bounds how many different replies are kept.
const maxAlike = 20000

// Add counts one recipient.
func (r *Report) Add(said insight.Said) {
	kind := kindOf(said)
	at := slices.IndexFunc(r.Segments, func(s Segment) bool { return s.Kind == kind })
	if at < 0 {
		at = len(r.Segments) - 1
	}
	s := &r.Segments[at]
	r.Recipients++
	s.Recipients++
	if said.Deferred {
		s.Waiting++
	}
	if said.Domain != "" {
		s.domains[said.Domain]++
	}
	text := strings.TrimSpace(said.Enhanced + " " + bounce.Alike(said.Text))
	if said.Code != 0 {
		text = fmt.Sprint(said.Code, " ", text)
	}
	text = term.Clip(text, 300)
	if _, known := s.replies[text]; !known && len(s.replies) >= maxAlike {
		text = "others, all different"
	}
	s.replies[text]++
}

// Finish picks the most frequent domains and replies of each segment, and names
// them in its advice.
func (r *Report) Finish(shown int) {
	for i := range r.Segments {
		s := &r.Segments[i]
		s.Domains, s.Replies = most(s.domains, shown), most(s.replies, shown)
		s.Advice = r.named(s)
	}
}

// named is the advice of a segment, for the domain with the most of it, the
// client and the batch.
func (r *Report) named(s *Segment) string {
	advice := s.Advice
	if len(s.Domains) > 0 {
		advice = strings.ReplaceAll(advice, "DOMAIN", s.Domains[0].Text)
	}
	if r.Client != "" {
		advice = strings.ReplaceAll(advice, "CLIENT", r.Client)
	}
	if r.Batch != 0 {
		advice = strings.ReplaceAll(advice, " ID", fmt.Sprint(" ", r.Batch))
	}
	return advice
}

// most are the n largest.
func most(counts map[string]int, n int) []Counted {
	all := make([]Counted, 0, len(counts))
	for _, text := range slices.Sorted(maps.Keys(counts)) {
		all = append(all, Counted{text, counts[text]})
	}
	slices.SortStableFunc(all, func(a, b Counted) int { return cmp.Compare(b.N, a.N) })
	return all[:min(n, len(all))]
}

// scope says in words what the report is about.
func (r *Report) scope() string {
	var of []string
	if r.Client != "" {
		of = append(of, r.Client)
	}
	if r.Batch != 0 {
		of = append(of, fmt.Sprint("batch ", r.Batch))
	}
	if len(of) == 0 {
		of = []string{"all clients"}
	}
	text := strings.Join(of, ", ")
	if time.Since(r.Since) < 50*365*24*time.Hour {
		text += ", since " + figures.Clock(r.Since)
	}
	return text
}

// Lay puts the report on a page.
func (r *Report) Lay(p *term.Page) {
	p.Line("Not delivered: %s (%s)", figures.Some(r.Recipients, "recipient"), r.scope())
	if r.Totals != nil && r.Totals.Total > 0 {
		p.Line("%s", r.Totals.line())
	}
	var rows [][]string
	for i, s := range r.Segments {
		if i >= mainSegments && s.Recipients == 0 {
			continue
		}
		rows = append(rows, []string{s.Title, figures.Count(s.Recipients), portion(s.Recipients, r.Recipients),
			figures.Count(s.Waiting)})
	}
	for _, s := range r.Rest {
		rows = append(rows, []string{s.Title, figures.Count(s.Recipients), portion(s.Recipients, r.Recipients), "0"})
	}
	p.Line("")
	p.Table([]string{"WHY", "RECIPIENTS", "SHARE", "TRIED AGAIN"}, rows...)
	for _, s := range r.Segments {
		if s.Recipients == 0 {
			continue
		}
		p.Heading("%s: %s", s.Title, figures.Some(s.Recipients, "recipient"))
		p.Say("%s", s.Advice)
		var rows [][]string
		for _, reply := range s.Replies {
			rows = append(rows, []string{figures.Count(reply.N), term.Clip(cmp.Or(reply.Text, "no reply"), 140)})
		}
		p.Table([]string{"RECIPIENTS", "REPLY"}, rows...)
		var domains []string
		for _, d := range s.Domains {
			domains = append(domains, fmt.Sprintf("%s (%s)", d.Text, figures.Count(d.N)))
		}
		if len(domains) > 0 {
			p.Line("most at: %s", strings.Join(domains, ", "))
		}
	}
	for _, s := range r.Rest {
		p.Heading("%s: %s", s.Title, figures.Some(s.Recipients, "recipient"))
		p.Say("%s", s.Advice)
	}
	r.layComplaints(p)
}

func portion(n, of int) string {
	if of == 0 {
		return "-"
	}
	return fmt.Sprintf("%.0f%%", 100*float64(n)/float64(of))
}
