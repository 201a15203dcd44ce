package preflight

import (
	_ "embed" // the page
	"fmt"
	"html/template"
	"io"
	"strings"
	"time"

	"enotify/cmd/enotify/figures"
)

//go:embed page.html.tmpl
var pageText string

// page escapes whatever it is filled with as its place asks for.
var page = template.Must(template.New("page").Funcs(template.FuncMap{
	"mark":      func(s Severity) string { return marks[s] },
	"lines":     func(s []string) string { return strings.Join(s, "\n") },
	"stateTone": func(state string) string { return stateTones[state] },
}).Parse(pageText))

// HTML writes the report as one page that opens from disk: no script, nothing
// loaded from anywhere, fit for paper.
func (r *Report) HTML(w io.Writer) error { return page.Execute(w, r.page()) }

// A pageView is a report laid out.
type pageView struct {
	Subject
	What, Word, Tone, Say, Foot string
	Facts                       []fact
	Tally                       []tally
	Parts                       []part // what asks for somebody to act
	Folds                       []part // what does not
	Setup                       []Line
	SiteRows                    []siteRow
	Chart                       *curveChart
	Bars                        *bounceChart
}

type fact struct{ Label, Value, Note string }

type tally struct {
	N          int
	Word, Tone string
}

type part struct {
	Heading, Note, Tone string
	Findings            []Finding
}

var (
	severityTones = map[Severity]string{Block: "block", Warn: "warn", NotChecked: "ask", Info: "info", Pass: "pass"}
	stateTones    = map[string]string{"right": "pass", "missing": "block", "wrong": "block", "unknown": "ask"}
)

func (r *Report) page() pageView {
	v := pageView{Subject: r.Subject, What: r.what(), Facts: r.facts(), Setup: r.Setup}
	v.Tone = map[Verdict]string{Ready: "pass", Doubts: "warn", Blocked: "block"}[r.Summary.Verdict]
	v.Word, v.Say = r.words()
	v.Foot = fmt.Sprintf("Checked on %s. What the DNS shows can change at any time; check again before you send.", r.At.Format("2 January 2006 at 15:04 MST"))
	tallies := map[Severity]string{Block: "blocking", Warn: "to look at", NotChecked: "not checked", Info: "for information", Pass: "as they should be"}
	for _, s := range severities {
		if n := r.Summary.Counts[s]; n > 0 {
			v.Tally = append(v.Tally, tally{n, tallies[s], severityTones[s]})
		}
	}
	headings := map[Severity]string{Block: "What blocks it", Warn: "What to look at", NotChecked: "What could not be checked"}
	for _, s := range []Severity{Block, Warn, NotChecked} {
		if found := r.Of(s); len(found) > 0 {
			v.Parts = append(v.Parts, part{Heading: headings[s], Tone: severityTones[s], Findings: found})
		}
	}
	folds := map[Severity]string{Info: "Good to know", Pass: "As it should be"}
	for _, s := range []Severity{Info, Pass} {
		if found := r.Of(s); len(found) > 0 {
			v.Folds = append(v.Folds, part{Heading: folds[s], Note: figures.Some(len(found), "check"), Tone: severityTones[s], Findings: found})
		}
	}
	v.SiteRows, v.Chart, v.Bars = siteRows(r.Sites), newCurveChart(r), newBounceChart(r.Bounces)
	return v
}

// words are the verdict and what it means, for somebody who does not know DNS.
func (r *Report) words() (word, say string) {
	n := r.Summary.Counts
	it, its := "this message", "The campaign"
	if r.Kind == kindClient {
		it, its = "mail from this domain", "The domain"
	}
	switch r.Summary.Verdict {
	case Blocked:
		return "Do not send yet", fmt.Sprintf("Receivers would turn %s away. %s to be put right first; what to do is below.", it, needs(n[Block]))
	case Doubts:
		said := fmt.Sprintf("Nothing blocks %s", it)
		if n[Warn] > 0 {
			said += fmt.Sprintf(", but %s a look", needs2(n[Warn]))
		}
		if n[NotChecked] > 0 {
			said += fmt.Sprintf("; %s could not be checked", figures.Some(n[NotChecked], "thing"))
		}
		return "It can go, with doubts", said + "."
	default:
		return "Ready to send", its + " is in order: nothing was found that would keep the mail from arriving."
	}
}

func needs(n int) string {
	if n == 1 {
		return "One thing has"
	}
	return figures.Some(n, "thing") + " have"
}

func needs2(n int) string {
	if n == 1 {
		return "one thing deserves"
	}
	return figures.Some(n, "thing") + " deserve"
}

func (r *Report) facts() []fact {
	s := r.Summary
	var facts []fact
	if r.Kind != kindClient {
		left := s.Recipients - s.Sendable
		note := "nobody is left out"
		if left > 0 {
			note = figures.Count(left) + " are left out, see below"
		}
		facts = append(facts, fact{"Will be sent to", figures.Count(s.Sendable) + " of " + figures.Count(s.Recipients), note})
		switch {
		case s.Uncertain != "":
			facts = append(facts, fact{"Done in about", "unknown", s.Uncertain})
		case s.Slowest != "":
			facts = append(facts, fact{"Done in about", span(time.Duration(s.Seconds) * time.Second), s.Slowest + " is slowest"})
		default:
			facts = append(facts, fact{"Done in about", span(time.Duration(s.Seconds) * time.Second), ""})
		}
	}
	facts = append(facts, fact{"From", r.Subject.From, ""})
	if r.Kind == kindClient {
		facts = append(facts, fact{"Sent by", few(r.Subject.Egress, 3), few(r.Subject.HELO, 2)})
	}
	return facts
}
