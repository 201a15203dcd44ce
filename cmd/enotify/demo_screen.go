package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/term"
)

// A screen shows the demo. What is written to it scrolls. Below that, on a
// terminal, stands a frame, which is drawn again and again; elsewhere it comes
// as lines, now and then.
type screen struct {
	out   io.Writer
	file  *os.File // the terminal to draw the frame on; nil when there is none
	brush page     // for colours
	begun time.Time

	frame  []string // as drawn last
	height int      // lines of it that stand on the terminal
	lined  time.Time
	said   map[string]bool // lines that came already
	paces  map[*mailHost]*pace
}

// lineEvery is the time between two rounds of lines.
const lineEvery = 2 * time.Second

func (a *app) newScreen() *screen {
	now := time.Now()
	s := &screen{out: a.stdout, brush: page{colour: a.colour(a.stdout)}, begun: now, lined: now, said: map[string]bool{}, paces: map[*mailHost]*pace{}}
	if terminal(a.stdout) && !a.verbose { // the log would tear the frame
		s.file = a.stdout.(*os.File)
	}
	return s
}

// Write lets text scroll, above the frame.
func (s *screen) Write(text []byte) (int, error) {
	var b bytes.Buffer
	s.erase(&b)
	b.Write(text)
	s.put(&b)
	_, err := s.out.Write(b.Bytes())
	return len(text), err
}

// heading begins a section.
func (s *screen) heading(format string, args ...any) {
	fmt.Fprintf(s, "\n%s\n\n", s.brush.paint(fmt.Sprintf(format, args...), bold))
}

// say tells what happened, with the time since the beginning.
func (s *screen) say(format string, args ...any) {
	fmt.Fprintf(s, "%5.1f s  %s\n", time.Since(s.begun).Seconds(), fmt.Sprintf(format, args...))
}

// fact is a detail of what was said before.
func (s *screen) fact(label, text string) {
	fmt.Fprintf(s, "  %-10s%s\n", label, wrap(text, s.width()-12, "            "))
}

// width is that of the terminal, and 80 where there is none.
func (s *screen) width() int {
	if s.file != nil {
		if width, _, err := term.GetSize(int(s.file.Fd())); err == nil {
			return width
		}
	}
	return 80
}

// draw shows how things stand.
func (s *screen) draw(now standing) {
	if s.file == nil {
		s.line(now)
		return
	}
	_, height, err := term.GetSize(int(s.file.Fd()))
	if err != nil {
		return
	}
	frame := s.compose(now, s.width())
	s.redraw(frame[:min(len(frame), max(0, height-1))])
}

// clear takes the frame away.
func (s *screen) clear() { s.redraw(nil) }

// redraw writes all at once, so that nothing flickers.
func (s *screen) redraw(frame []string) {
	var b bytes.Buffer
	s.erase(&b)
	s.frame = frame
	s.put(&b)
	_, _ = s.out.Write(b.Bytes()) // the next one may do better
}

func (s *screen) erase(b *bytes.Buffer) {
	if s.height > 0 {
		fmt.Fprintf(b, "\x1b[%dA\x1b[J", s.height) // ECMA-48: up, and clear to the end
	}
	s.height = 0
}

func (s *screen) put(b *bytes.Buffer) {
	for _, line := range s.frame {
		b.WriteString(line + "\n")
	}
	s.height = len(s.frame)
}

// wrap breaks text into lines of up to width characters, the later ones indented.
func wrap(text string, width int, indent string) string {
	var b strings.Builder
	room := width
	for i, word := range strings.Fields(text) {
		n := utf8.RuneCountInString(word)
		switch {
		case i == 0:
		case n+1 > room:
			b.WriteString("\n" + indent)
			room = width
		default:
			b.WriteByte(' ')
			room--
		}
		b.WriteString(word)
		room -= n
	}
	return b.String()
}
