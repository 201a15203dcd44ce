package render

import (
	"cmp"
	_ "embed" // the page
	"fmt"
	"html/template"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"enotify/cmd/enotify/figures"
	"enotify/cmd/enotify/page"
	"enotify/cmd/enotify/preflight"
)

//go:embed page.html.tmpl
var pageText string

// document escapes whatever it is filled with as its place asks for.
var document = page.New("preflight", pageText, template.FuncMap{
	"tag":       func(s preflight.Severity) string { return tags[s] },
	"lines":     func(s []string) string { return strings.Join(s, "\n") },
	"stateTag":  func(state string) string { return cmp.Or(stateTags[state], state) },
	"sentence":  sentence,
	"stateTone": func(state string) string { return stateTones[state] },
})

// HTML writes a report as one page that opens from disk: no script, nothing
// loaded from anywhere, fit for paper.
func HTML(w io.Writer, r *preflight.Report) error { return HTMLWith(w, r, "") }

// HTMLWith is [HTML] with a cure, which is shown where it says what to publish.
func HTMLWith(w io.Writer, r *preflight.Report, cure template.HTML) error {
	v := newPage(r)
	v.Cure = cure
	v.Top = page.Disk(v.Word + ": preflight of " + v.What)
	return document.Execute(w, v)
}

// Body is what the page of a report shows, to be put into another one. The cure is shown
// where it says what to publish.
func Body(r *preflight.Report, cure template.HTML) (template.HTML, error) {
	v := newPage(r)
	v.Cure = cure
	var b strings.Builder
	err := document.ExecuteTemplate(&b, "body", v)
	return template.HTML(b.String()), err
}

// sentence begins with a capital letter, where it does not begin with our name, and ends
// with a full stop.
func sentence(text string) string {
	if strings.HasPrefix(text, "enotify ") {
		return strings.TrimSuffix(text, ".") + "."
	}
	first, size := utf8.DecodeRuneInString(text)
	return strings.TrimSuffix(string(unicode.ToUpper(first))+text[size:], ".") + "."
}

// A pageView is a report laid out.
type pageView struct {
	preflight.Subject
	Top                         page.Top
	Cure                        template.HTML // forms of what to publish; "" is none
	What, Word, Tone, Say, Foot string
	Date, At                    string // for people, and for programs
	ForClient                   bool   // for the person who edits the zone of a client
	Facts                       []fact
	Tally                       []tally
	Parts                       []part // what asks for somebody to act
	Folds                       []part // what does not
	Setup                       []record
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
	Causes              []cause
}

var (
	severityTones = map[preflight.Severity]string{preflight.Block: "block", preflight.Warn: "warn",
		preflight.NotChecked: "ask", preflight.Info: "info", preflight.Pass: "pass"}
	stateTones = map[string]string{"right": "pass", "missing": "block", "wrong": "block", "unknown": "ask"}
	stateTags  = map[string]string{"right": "In order", "missing": "Missing", "wrong": "To be changed",
		"unknown": "Not checked"}
)

func newPage(r *preflight.Report) pageView {
	v := pageView{Subject: r.Subject, What: r.Title(), Facts: facts(r), Setup: records(r.Setup),
		ForClient: r.Kind == preflight.OfClient}
	v.Date, v.At = r.At.Format("2 January 2006, 15:04 MST"), r.At.Format("2006-01-02T15:04:05Z07:00")
	v.Tone = map[preflight.Readiness]string{preflight.Ready: "pass", preflight.Doubts: "warn",
		preflight.Blocked: "block"}[r.Summary.Readiness]
	v.Word, v.Say = words(r)
	v.Foot = fmt.Sprintf("Checked on %s. What the DNS shows can change at any time; check again before you send.",
		r.At.Format("2 January 2006 at 15:04 MST"))
	if v.ForClient {
		v.Foot = fmt.Sprintf("Checked on %s. A change in the DNS takes effect within minutes to a day.",
			r.At.Format("2 January 2006 at 15:04 MST"))
	}
	tallies := map[preflight.Severity]string{preflight.Block: "blocking", preflight.Warn: "to look at",
		preflight.NotChecked: "not checked", preflight.Info: "for information", preflight.Pass: "as they should be"}
	for _, s := range preflight.Severities {
		if n := r.Summary.Counts[s]; n > 0 {
			v.Tally = append(v.Tally, tally{n, tallies[s], severityTones[s]})
		}
	}
	headings := map[preflight.Severity]string{preflight.Block: "What blocks it", preflight.Warn: "What to look at",
		preflight.NotChecked: "What could not be checked"}
	for _, s := range []preflight.Severity{preflight.Block, preflight.Warn, preflight.NotChecked} {
		if found := causes(r, s); len(found) > 0 {
			v.Parts = append(v.Parts, part{Heading: headings[s], Tone: severityTones[s], Causes: found})
		}
	}
	folds := map[preflight.Severity]string{preflight.Info: "Good to know", preflight.Pass: "As it should be"}
	for _, s := range []preflight.Severity{preflight.Info, preflight.Pass} {
		if found := r.Of(s); len(found) > 0 {
			v.Folds = append(v.Folds, part{Heading: folds[s], Note: figures.Some(len(found), "check"),
				Tone: severityTones[s], Causes: each(r, found)})
		}
	}
	v.SiteRows, v.Chart, v.Bars = siteRows(r.Sites), newCurveChart(r), newBounceChart(r.Bounces)
	return v
}

// words are the verdict and its meaning, for a person who does not know DNS.
func words(r *preflight.Report) (word, say string) {
	n := r.Summary.Counts
	it, its := "this message", "The campaign"
	if r.Kind == preflight.OfClient {
		it, its = "mail from this domain", "The domain"
	}
	switch r.Summary.Readiness {
	case preflight.Blocked:
		switch {
		case r.Enforced():
			return "Do not send yet", fmt.Sprintf("Nothing is sent until it is cured. %s to be put right first; what to do is below.", needs(n[preflight.Block]))
		case r.UnderWay():
			return "It is being sent", fmt.Sprintf("Receivers may turn %s away. %s to be put right while it goes; what to do is below.", it, needs(n[preflight.Block]))
		}
		return "Do not send yet", fmt.Sprintf("Receivers would turn %s away. %s to be put right first; what to do is below.", it, needs(n[preflight.Block]))
	case preflight.Doubts:
		said := fmt.Sprintf("Nothing blocks %s", it)
		if n[preflight.Warn] > 0 {
			said += fmt.Sprintf(", but %s a look", needs2(n[preflight.Warn]))
		}
		if n[preflight.NotChecked] > 0 {
			said += fmt.Sprintf("; %s could not be checked", figures.Some(n[preflight.NotChecked], "thing"))
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

func facts(r *preflight.Report) []fact {
	s := r.Summary
	var list []fact
	if r.Kind != preflight.OfClient {
		left := s.Recipients - s.Sendable
		note := "nobody is left out"
		if left > 0 {
			note = figures.Count(left) + " are left out, see below"
		}
		what := "Will be sent to"
		switch {
		case r.Enforced():
			what = "Sent to, once it is cured"
		case s.Readiness == preflight.Blocked && !r.UnderWay():
			what = "Would be sent to"
		}
		list = append(list, fact{what, figures.Count(s.Sendable) + " of " + figures.Count(s.Recipients), note})
		switch {
		case s.Uncertain != "":
			list = append(list, fact{"Done in about", "unknown", s.Uncertain})
		case s.Slowest != "":
			list = append(list, fact{"Done in about", after(s.Seconds), s.Slowest + " is slowest"})
		default:
			list = append(list, fact{"Done in about", after(s.Seconds), ""})
		}
	}
	list = append(list, fact{"From", r.Subject.From, ""})
	if r.Kind == preflight.OfClient {
		list = append(list, fact{"Sent by", figures.Few(r.Subject.Egress, 3), figures.Few(r.Subject.HELO, 2)})
	}
	return list
}
