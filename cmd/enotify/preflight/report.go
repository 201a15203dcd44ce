package preflight

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"enotify/cmd/enotify/figures"
)

// Schema is the version of the model. It changes when a field changes its
// meaning or goes; fields may come without that.
const Schema = 1

// A Severity says what a finding means for the batch.
type Severity string

const (
	Block      Severity = "block"       // receivers will refuse the mail, or part of it
	Warn       Severity = "warn"        // it goes, but not everywhere or not for long
	Info       Severity = "info"        // good to know
	Pass       Severity = "pass"        // as it should be
	NotChecked Severity = "not-checked" // the check could not be made
)

// Severities in the order in which they are shown.
var Severities = []Severity{Block, Warn, NotChecked, Info, Pass}

// A Report is what a preflight found. Its JSON form is stable.
type Report struct {
	Schema   int       `json:"schema"`
	Kind     string    `json:"kind"` // batch, or client: the rows of its DNS alone
	At       time.Time `json:"at"`
	Subject  Subject   `json:"subject"`
	Summary  Summary   `json:"summary"`
	Findings []Finding `json:"findings"`

	Setup []Line `json:"setup,omitempty"` // of a client: what to publish
	Sites []Site `json:"sites,omitempty"` // recipients by site, the largest first
	// what is sent by when; all together first, then the slowest sites
	Curve   []Curve        `json:"curve,omitempty"`
	Bounces []BatchBounces `json:"bounces,omitempty"` // of the client's last batches, the oldest first
}

// A Subject says what was looked at.
type Subject struct {
	Client   string   `json:"client"` // the domain of From:
	From     string   `json:"from"`
	MailFrom string   `json:"mail_from"`       // envelope sender, or its domain where each recipient has one of its own
	Batch    int64    `json:"batch,omitempty"` // 0: none yet
	State    string   `json:"state,omitempty"` // of the batch
	Title    string   `json:"title,omitempty"` // its subject, merge fields and all
	Egress   []string `json:"egress"`
	HELO     []string `json:"helo"`
}

// A Readiness is the report in a word.
type Readiness string

const (
	Ready   Readiness = "ready"
	Doubts  Readiness = "warnings" // nothing blocks, but there are warnings, or checks that could not be made
	Blocked Readiness = "blocked"
)

// A Summary is the report in a line.
type Summary struct {
	Readiness Readiness        `json:"verdict"`
	Counts    map[Severity]int `json:"counts"`

	Recipients int    `json:"recipients"` // distinct lines given
	Sendable   int    `json:"sendable"`   // that will be sent to
	Seconds    int    `json:"eta_seconds"`
	Slowest    string `json:"slowest,omitempty"` // site
	// Uncertain is why there is no ETA, "" when there is one.
	Uncertain string `json:"eta_uncertain,omitempty"`
}

// A Finding is the answer to one row.
type Finding struct {
	ID       string      `json:"id"`
	Severity Severity    `json:"severity"`
	Title    string      `json:"title"`
	Found    string      `json:"found"`
	Evidence []string    `json:"evidence,omitempty"` // records, addresses, names
	Rejects  []Rejection `json:"rejects,omitempty"`  // who turns mail away for it; of a row that does not pass
	Fix      []string    `json:"fix,omitempty"`      // lines of a zone file to publish
	Advice   string      `json:"advice,omitempty"`   // what to do, in words
	Recheck  string      `json:"recheck,omitempty"`  // the command that looks again
	// Enforced: enotify itself sends nothing for it, until it is cured. Else the
	// finding is advice, and a batch that is submitted is sent.
	Enforced bool `json:"enforced"`
	// Effect is what enotify does about it, in words; of a finding that blocks or warns.
	Effect string `json:"effect,omitempty"`
	// Unanswered: it could not be checked for a passing trouble, and may well be
	// the next time.
	Unanswered bool `json:"unanswered,omitempty"`
}

// A Rejection is who refuses mail, and in which words.
type Rejection struct {
	Who   string `json:"who"`
	Reply string `json:"reply"`
}

// A Line is one record to be published by a client.
type Line struct {
	For   string `json:"for"` // what it does, in words
	Name  string `json:"name"`
	Type  string `json:"type"`
	Value string `json:"value"`
	Zone  string `json:"zone"`  // all of it as a line of a zone file
	State string `json:"state"` // right, missing, wrong or unknown
	Found string `json:"found,omitempty"`
}

// A Site is a mail provider and the recipients it serves.
type Site struct {
	Name       string `json:"name"`
	Domains    int    `json:"domains"`
	Recipients int    `json:"recipients"`
	Seconds    int    `json:"finish_seconds"`
	Limit      string `json:"limit,omitempty"` // what holds it back, in words
}

// A Curve is how many messages have been sent after so many seconds.
type Curve struct {
	Name    string  `json:"name"` // "" is all together
	Seconds []int   `json:"seconds"`
	Sent    []int   `json:"sent"`
	Share   float64 `json:"share"` // of all messages
}

// BatchBounces counts the outcomes of an earlier batch.
type BatchBounces struct {
	Batch   int64     `json:"batch"`
	At      time.Time `json:"at"`
	Sent    int       `json:"sent"`
	Bounced int       `json:"bounced"`
}

// Rate is the share of bounces, from 0 to 1.
func (b BatchBounces) Rate() float64 {
	if b.Sent == 0 {
		return 0
	}
	return float64(b.Bounced) / float64(b.Sent)
}

// Of returns the findings of a severity.
func (r *Report) Of(s Severity) []Finding {
	var some []Finding
	for _, f := range r.Findings {
		if f.Severity == s {
			some = append(some, f)
		}
	}
	return some
}

// Row returns the finding of a row, whose Severity is "" when there is none.
func (r *Report) Row(id string) Finding {
	for _, f := range r.Findings {
		if f.ID == id {
			return f
		}
	}
	return Finding{}
}

// Waiting reports whether another look may find better: a row blocks, or could
// not be checked for a passing trouble.
func (r *Report) Waiting() bool {
	for _, f := range r.Findings {
		if f.Severity == Block || f.Unanswered {
			return true
		}
	}
	return false
}

// conclude counts, and finds the verdict.
func (r *Report) conclude() {
	s := &r.Summary
	s.Counts = map[Severity]int{Block: 0, Warn: 0, Info: 0, Pass: 0, NotChecked: 0}
	for _, f := range r.Findings {
		s.Counts[f.Severity]++
	}
	switch {
	case s.Counts[Block] > 0:
		s.Readiness = Blocked
	case s.Counts[Warn]+s.Counts[NotChecked] > 0:
		s.Readiness = Doubts
	default:
		s.Readiness = Ready
	}
}

// Line is the summary for people.
func (r *Report) Line() string {
	s := r.Summary
	var b strings.Builder
	b.WriteString(map[Readiness]string{Ready: "READY", Doubts: "WARNINGS", Blocked: "BLOCKED"}[s.Readiness])
	fmt.Fprintf(&b, ": %d block, %d warn, %d pass, %d info", s.Counts[Block], s.Counts[Warn], s.Counts[Pass],
		s.Counts[Info])
	if n := s.Counts[NotChecked]; n > 0 {
		fmt.Fprintf(&b, ", %d not checked", n)
	}
	if r.Kind == OfClient {
		return b.String()
	}
	of := fmt.Sprintf("%s of %s", figures.Count(s.Sendable), figures.Count(s.Recipients))
	switch {
	case s.Readiness != Blocked:
		fmt.Fprintf(&b, " - %s will be sent", of)
	case r.Enforced():
		fmt.Fprintf(&b, " - enotify sends nothing until it is cured; then %s", of)
	case r.UnderWay():
		fmt.Fprintf(&b, " - enotify does not enforce that: it is being sent, to %s", of)
	case r.Subject.State == "" || r.Subject.State == "draft":
		fmt.Fprintf(&b, " - enotify does not enforce that: submitted anyway, it goes to %s", of)
	default:
		fmt.Fprintf(&b, " - enotify does not enforce that: unless it is paused, it goes to %s", of)
	}
	switch {
	case s.Uncertain != "":
	case s.Slowest == "":
		fmt.Fprintf(&b, ", done in about %s", figures.Estimate(time.Duration(s.Seconds)*time.Second))
	default:
		fmt.Fprintf(&b, ", done in about %s (%s is slowest)", figures.Estimate(time.Duration(s.Seconds)*time.Second),
			s.Slowest)
	}
	return b.String()
}

// Enforced reports whether enotify itself sends nothing until a finding is cured.
func (r *Report) Enforced() bool {
	return slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Enforced })
}

// UnderWay reports whether the batch is being sent already.
func (r *Report) UnderWay() bool {
	return slices.Contains([]string{"sending", "draining", "retrying"}, r.Subject.State)
}

// Kinds of reports.
const (
	OfBatch  = "batch"
	OfClient = "client"
)

// Title says what the report is about.
func (r *Report) Title() string {
	switch {
	case r.Kind == OfClient:
		return "client " + r.Subject.Client
	case r.Subject.Batch != 0:
		return fmt.Sprintf("batch %d (%s) from %s", r.Subject.Batch, r.Subject.State, r.Subject.From)
	default:
		return "a message from " + r.Subject.From
	}
}

// Encode returns the report as JSON in one line, to be kept.
func (r *Report) Encode() ([]byte, error) { return json.Marshal(r) }

// Decode reads a report that was kept.
func Decode(text []byte) (*Report, error) {
	r := new(Report)
	if err := json.Unmarshal(text, r); err != nil {
		return nil, fmt.Errorf("a report that was kept: %w", err)
	}
	return r, nil
}
