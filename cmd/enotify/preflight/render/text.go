package render

import (
	"fmt"
	"io"
	"time"

	"enotify/cmd/enotify/figures"
	"enotify/cmd/enotify/preflight"
	"enotify/cmd/enotify/term"
)

// styles are the colours of severities on the terminal, beside their marks.
var styles = map[preflight.Severity]term.Style{
	preflight.Block: term.BoldRed, preflight.Warn: term.BoldYellow, preflight.NotChecked: term.BoldMagenta,
	preflight.Info: term.Cyan, preflight.Pass: term.Green,
}

var verdictStyles = map[preflight.Readiness]term.Style{
	preflight.Ready: term.Green, preflight.Doubts: term.BoldYellow, preflight.Blocked: term.BoldRed,
}

const textWidth = 100

// Text writes a report for a terminal of so many columns, the most important first, and
// the summary in the last line. Nothing that can be copied is wrapped: records, commands
// and the table of sites. With 0 columns only paragraphs are, at [textWidth].
func Text(w io.Writer, r *preflight.Report, colour bool, columns int) error {
	t := textPage{term.NewPage(w, colour, r.At)}
	t.Columns = columns
	t.Line("Preflight of %s, %s", r.Title(), r.At.Format("2006-01-02 15:04 MST"))
	for _, s := range preflight.Severities {
		if s == preflight.Pass || s == preflight.Info {
			t.short(r.Of(s), s)
			continue
		}
		for _, f := range r.Of(s) {
			t.finding(f)
		}
	}
	t.setup(r.Setup)
	t.sites(r.Sites)
	t.Line("")
	t.Line("%s", t.Paint(r.Line(), verdictStyles[r.Summary.Readiness]))
	return t.Flush()
}

type textPage struct{ *term.Page }

// finding shows all there is to a row.
func (t textPage) finding(f preflight.Finding) {
	t.Line("")
	t.Line("%s  %s  [%s]", t.Paint(marks[f.Severity], styles[f.Severity]), f.Title, f.ID)
	t.wrap(f.Found)
	for _, e := range f.Evidence {
		t.Hang("    ", 4, e)
	}
	for i, r := range f.Rejects {
		label := labels("refused by", i)
		t.Hang(term.Painted(label), len(label), fmt.Sprintf("%s: %s", r.Who, r.Reply))
	}
	if f.Advice != "" {
		t.wrap(f.Advice)
	}
	if f.Effect != "" {
		label := labels("effect", 0)
		t.Hang(term.Painted(label), len(label), f.Effect)
	}
	for i, line := range f.Fix {
		t.Line("%s%s", labels("publish", i), line)
	}
	if f.Recheck != "" {
		t.Line("%s%s", labels("check again", 0), f.Recheck)
	}
}

// labels is what stands before line i of several that have one label.
func labels(label string, i int) string {
	if i > 0 {
		label = ""
	}
	return fmt.Sprintf("  %-13s", label)
}

// short shows a line for each of the rows in which there is nothing to do.
func (t textPage) short(fs []preflight.Finding, s preflight.Severity) {
	if len(fs) > 0 {
		t.Line("")
	}
	for _, f := range fs {
		mark, id := fmt.Sprintf("%-5s", marks[s]), fmt.Sprintf("  %-15s ", f.ID)
		t.Hang(t.Paint(mark, styles[s])+term.Painted(id), len(mark+id), f.Found)
	}
}

func (t textPage) setup(lines []preflight.Line) {
	if len(lines) == 0 {
		return
	}
	t.Line("")
	t.Line("What to publish")
	for _, l := range lines {
		t.Line("  %-8s %s", l.State, l.For)
		t.Line("           %s", l.Zone)
	}
}

func (t textPage) sites(sites []preflight.Site) {
	if len(sites) == 0 {
		return
	}
	t.Line("")
	t.Line("%-28s %12s %9s %12s  %s", "SITE", "RECIPIENTS", "DOMAINS", "DONE AFTER", "HELD BACK BY")
	shown := sites[:min(len(sites), sitesShown)]
	for _, s := range shown {
		t.Line("%-28s %12s %9s %12s  %s", s.Name, figures.Count(s.Recipients), figures.Count(s.Domains),
			after(s.Seconds), s.Limit)
	}
	if rest := sites[len(shown):]; len(rest) > 0 {
		n, last := 0, 0
		for _, s := range rest {
			n, last = n+s.Recipients, max(last, s.Seconds)
		}
		t.Line("%-28s %12s %9s %12s", "and "+figures.Some(len(rest), "more site"), figures.Count(n), "", after(last))
	}
}

func (t textPage) wrap(text string) {
	wide := textWidth
	if t.Columns > 0 {
		wide = min(t.Columns, textWidth)
	}
	for _, line := range term.Wrap(text, wide-2) {
		t.Line("  %s", line)
	}
}

// after is a time from the beginning of the batch.
func after(seconds int) string { return figures.Estimate(time.Duration(seconds) * time.Second) }
