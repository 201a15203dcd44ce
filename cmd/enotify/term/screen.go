package term

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"
)

// A Screen shows something that goes on for a while. What is written to it
// scrolls. On a terminal a frame stands below, which [Screen.Redraw] replaces.
type Screen struct {
	// Began is the time that [Screen.Say] counts from.
	Began time.Time

	out    io.Writer
	file   *os.File // the terminal to draw the frame on; nil when there is none
	colour bool

	frame  []string // as drawn last
	height int      // lines of it that stand on the terminal
}

// NewScreen returns a screen on w. It draws frames if w is a terminal, unless
// plain asks for scrolling text alone: a log on the same terminal would tear a
// frame.
func NewScreen(w io.Writer, colour, plain bool) *Screen {
	s := &Screen{Began: time.Now(), out: w, colour: colour}
	if IsTerminal(w) && !plain {
		s.file = w.(*os.File)
	}
	return s
}

// Draws reports whether there is a terminal to draw frames on.
func (s *Screen) Draws() bool { return s.file != nil }

// Page is a page that scrolls above the frame.
func (s *Screen) Page() *Page {
	p := NewPage(s, s.colour, time.Now())
	if s.file != nil {
		p.Columns = s.Width()
	}
	return p
}

// Paint makes text [Visible] and, where there is colour, paints it.
func (s *Screen) Paint(text string, style Style) Painted { return paint(s.colour, text, style) }

// Write lets text scroll, above the frame.
func (s *Screen) Write(text []byte) (int, error) {
	var b bytes.Buffer
	s.erase(&b)
	b.Write(text)
	s.put(&b)
	_, err := s.out.Write(b.Bytes())
	return len(text), err
}

// Line writes a line.
func (s *Screen) Line(format string, args ...any) { fmt.Fprintln(s, Sprintf(format, args...)) }

// Heading begins a section.
func (s *Screen) Heading(format string, args ...any) {
	s.Line("\n%s\n", s.Paint(Sprintf(format, args...), Bold))
}

// Paragraph begins a paragraph.
func (s *Screen) Paragraph(format string, args ...any) {
	s.Line("\n%s", Painted(strings.Join(Wrap(Sprintf(format, args...), s.Width()), "\n")))
}

// Say tells what happened, with the time since the beginning.
func (s *Screen) Say(format string, args ...any) {
	s.Line("%5.1f s  %s", time.Since(s.Began).Seconds(), Painted(Sprintf(format, args...)))
}

// Fact prints a detail under the line before.
func (s *Screen) Fact(label, text string) {
	s.Line("  %-10s%s", label, Painted(strings.Join(Wrap(text, s.Width()-12), "\n            ")))
}

// Width is the terminal's width in columns, and 80 without a terminal.
func (s *Screen) Width() int {
	if s.file != nil {
		if width, _, err := term.GetSize(int(s.file.Fd())); err == nil {
			return width
		}
	}
	return 80
}

// Redraw replaces the frame by another, or takes it away if that is nil. It
// writes all at once, so that nothing flickers, and leaves out the lines that
// the terminal has no room for. The lines hold no text from outside that has
// not been through [Visible].
func (s *Screen) Redraw(frame []string) {
	if s.file != nil {
		if _, height, err := term.GetSize(int(s.file.Fd())); err == nil {
			frame = frame[:min(len(frame), max(0, height-1))]
		}
	}
	var b bytes.Buffer
	s.erase(&b)
	s.frame = frame
	s.put(&b)
	_, _ = s.out.Write(b.Bytes()) // the next one may do better
}

func (s *Screen) erase(b *bytes.Buffer) {
	if s.height > 0 {
		fmt.Fprintf(b, "\x1b[%dA\x1b[J", s.height) // ECMA-48: up, and clear to the end
	}
	s.height = 0
}

func (s *Screen) put(b *bytes.Buffer) {
	for _, line := range s.frame {
		b.WriteString(line + "\n")
	}
	s.height = len(s.frame)
}
