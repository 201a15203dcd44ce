// Package term writes results for people: pages of text and tables, a frame that
// is redrawn on a terminal, a progress line, a question before something is
// destroyed. It has one filter, [Visible], for text from outside.
package term

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"time"

	"enotify/cmd/enotify/figures"
)

// A Page is a result laid out for people. Text from outside cannot control the
// terminal through it: every string and error it is given goes through
// [Visible], except what [Page.Paint] returned.
type Page struct {
	// Colour lets [Page.Paint] paint.
	Colour bool
	// Now is the time that [Page.Ago] counts from.
	Now time.Time
	// Columns is how wide tables may be; 0 is as wide as they like.
	Columns int

	w *bufio.Writer // its error shows in Flush
}

// NewPage returns a page that ends up in w with [Page.Flush].
func NewPage(w io.Writer, colour bool, now time.Time) *Page {
	return &Page{Colour: colour, Now: now, w: bufio.NewWriter(w)}
}

// Line writes a line, without the spaces at its end.
func (p *Page) Line(format string, args ...any) {
	fmt.Fprintln(p.w, strings.TrimRight(Sprintf(format, args...), " "))
}

// readable is how many columns sentences take at most, however wide the terminal is.
const readable = 100

// Say writes a sentence or more, wrapped where Columns are known.
func (p *Page) Say(format string, args ...any) { p.Hang("", 0, Sprintf(format, args...)) }

// Hang writes a text behind a head of so many columns. Where Columns are known the text is
// wrapped, and its further lines are indented as the first.
func (p *Page) Hang(head Painted, indent int, text string) {
	lines := []string{text}
	if p.Columns > 0 {
		lines = Wrap(text, max(20, min(p.Columns, readable)-indent))
	}
	for i, line := range lines {
		if i > 0 {
			head = Painted(strings.Repeat(" ", indent))
		}
		p.Line("%s%s", head, line)
	}
}

// Heading begins a section.
func (p *Page) Heading(format string, args ...any) {
	p.Line("")
	p.Line("%s", p.Paint(Sprintf(format, args...), Bold))
}

// Ago is a time as people see it, with how long ago it was or how far away it is.
func (p *Page) Ago(t time.Time) string {
	d := t.Sub(p.Now)
	if d > 0 {
		return figures.Clock(t) + " (in " + figures.Span(d) + ")"
	}
	return figures.Clock(t) + " (" + figures.Span(-d) + " ago)"
}

// Flush writes what is still held back, and returns the first error of all writes.
func (p *Page) Flush() error { return p.w.Flush() }
