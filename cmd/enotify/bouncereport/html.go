package bouncereport

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"math"
	"slices"
	"strings"

	"enotify/cmd/enotify/figures"
	"enotify/cmd/enotify/page"
	"enotify/queue"
)

//go:embed page.html
var pageHTML string

var document = page.New("bounce report", pageHTML, template.FuncMap{
	"count": figures.Count, "some": figures.Some, "share": portion,
	"sub": func(a, b int) int { return a - b },
	"bar": newBar,
})

// HTML writes the report as one page: no script, and nothing from elsewhere.
func (r *Report) HTML(w io.Writer) error {
	v := r.view()
	v.Top = page.Disk("Why mail has not arrived: " + r.scope())
	return document.Execute(w, v)
}

// Body is what the page shows, to be put into another one.
func (r *Report) Body() (template.HTML, error) {
	var b strings.Builder
	err := document.ExecuteTemplate(&b, "body", r.view())
	return template.HTML(b.String()), err
}

func (r *Report) view() pageView {
	v := pageView{Report: r, Scope: r.scope(), Advice: complaintAdvice}
	v.Date, v.Time = r.At.Format("2 January 2006, 15:04 MST"), r.At.Format("2006-01-02T15:04:05Z07:00")
	v.Tone, v.Word, v.Say = r.verdict()
	for _, s := range r.Segments {
		v.Waiting += s.Waiting
	}
	return v
}

// A bar is the share of a reason in a drawing 100 wide: who is tried again, then who is
// given up. Something is always to be seen of what is there.
type bar struct {
	First, Second float64
	Label         string
}

func newBar(waiting, final, all int) bar {
	width := func(n int) float64 {
		if n == 0 || all == 0 {
			return 0
		}
		return max(0.6, math.Round(1000*float64(n)/float64(all))/10)
	}
	return bar{width(waiting), width(final), portion(waiting+final, all) + " of the recipients who have not got it"}
}

// A pageView is a report laid out.
type pageView struct {
	*Report
	Top             page.Top
	Date, Time      string // for people, and for programs
	Scope           string
	Tone, Word, Say string
	Advice          string // on complaints
	Waiting         int    // recipients who are tried again
}

// ours are the reasons that the operator can and should do something about.
var ours = []string{string(queue.AuthRejected), string(queue.SpamBlock), string(queue.Content), string(queue.Other)}

// verdict is the report in one word, and whether the operator has to act.
func (r *Report) verdict() (tone, word, say string) {
	n, kinds := 0, 0
	for _, s := range r.Segments {
		if s.Recipients > 0 && slices.Contains(ours, s.Kind) {
			n, kinds = n+s.Recipients, kinds+1
		}
	}
	disliked := slices.ContainsFunc(r.Complaints, func(c Complaint) bool { return c.Level != "" })
	recipients := figures.Some(r.Recipients, "recipient")
	have := "have"
	if r.Recipients == 1 {
		have = "has"
	}
	switch {
	case r.Recipients == 0 && !disliked:
		return "pass", "Nothing is missing", "No message was turned away or is still waiting."
	case n == 0 && !disliked:
		return "info", "Nothing to do", fmt.Sprintf("%s %s not got a message, or not yet. enotify tries again where that helps, and has suppressed the addresses that are gone.", recipients, have)
	case kinds == 0:
		return "warn", "Too many complaints",
			fmt.Sprintf("Readers call the mail spam. %s %s not got a message, or not yet.", recipients, have)
	case kinds == 1:
		say = fmt.Sprintf("%s %s not got a message, or not yet. For %s of them there is something to do; it is marked below.", recipients, have, figures.Count(n))
	default:
		say = fmt.Sprintf("%s %s not got a message, or not yet. For %s of them there is something to do, for %d different reasons; they are marked below.", recipients, have, figures.Count(n), kinds)
	}
	return "warn", "Something to do", say
}

// Tone is the colour of a reason: whether the operator has to act.
func (s Segment) Tone() string {
	switch {
	case slices.Contains(ours, s.Kind):
		return "warn"
	case s.Waiting == s.Recipients:
		return "info"
	}
	return "none"
}

// Tag says in one word what happens next with the recipients.
func (s Segment) Tag() string {
	switch {
	case slices.Contains(ours, s.Kind):
		return "Something to do"
	case s.Waiting == s.Recipients:
		return "Tried again"
	case s.Waiting == 0:
		return "Given up"
	}
	return "Tried again in part"
}
