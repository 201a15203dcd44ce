package doctor

import (
	"cmp"
	"fmt"
	"strings"

	"enotify/cmd/enotify/figures"
	"enotify/cmd/enotify/term"
)

// styles are those of the words for severities.
var styles = map[Severity]term.Style{Problem: term.BoldRed, Warning: term.BoldYellow, Fine: term.Green}

// readable is how wide a text may be where there is room.
const readable = 100 // columns

// Lay prints a report: a verdict, then the findings, each with what cures it.
// Commands and records are never broken.
func (r Report) Lay(p *term.Page) {
	width := min(cmp.Or(p.Columns, readable), readable)
	p.Line("%s", p.Paint(r.verdict(), term.Bold))
	const label = 9 // columns of the longest word for a severity, and two spaces
	for i, f := range r.Findings {
		if f.Severity != Fine || i > 0 && r.Findings[i-1].Severity != Fine {
			p.Line("")
		}
		lines := term.Wrap(f.Found, max(20, width-label))
		p.Line("%s%s", p.Paint(fmt.Sprintf("%-*s", label, f.Severity), styles[f.Severity]), lines[0])
		for _, line := range lines[1:] {
			p.Line("%*s%s", label, "", line)
		}
		for _, cure := range f.Cure {
			p.Line("%*s> %s", label, "", cure)
		}
	}
}

// verdict is the report in a sentence.
func (r Report) verdict() string {
	var parts []string
	if r.Problems > 0 {
		parts = append(parts, figures.Some(r.Problems, "problem"))
	}
	if r.Warnings > 0 {
		parts = append(parts, figures.Some(r.Warnings, "warning"))
	}
	if len(parts) == 0 {
		return fmt.Sprintf("In order: %s.", figures.Some(len(r.Findings), "finding"))
	}
	return strings.Join(parts, ", ") + "."
}
