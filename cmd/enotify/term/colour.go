package term

import (
	"io"
	"os"

	"golang.org/x/term"
)

// A Style is a way to paint, by the numbers of ECMA-48 §8.3.117.
type Style string

const (
	Bold   Style = "1"
	Red    Style = "31"
	Green  Style = "32"
	Yellow Style = "33"
	Cyan   Style = "36"

	BoldRed     Style = "31;1"
	BoldYellow  Style = "33;1"
	BoldMagenta Style = "35;1"
)

// styles are the styles of words that get a colour wherever they fill a table cell.
var styles = map[string]Style{
	"sending": Cyan, "draining": Cyan,
	"done": Green, "pass": Green, "balances": Green,
	"paused": Yellow, "retrying": Yellow, "softfail": Yellow, "temperror": Yellow,
	"blocked": Red, "fail": Red, "permerror": Red, "VIOLATED": Red,
}

// StyleOf returns the style of a state or result; most words have none.
func StyleOf(word string) Style { return styles[word] }

// Paint makes text [Visible] and, where there is colour, paints it.
func (p *Page) Paint(text string, s Style) Painted { return paint(p.Colour, text, s) }

func paint(colour bool, text string, s Style) Painted {
	text = Visible(text)
	if !colour || s == "" {
		return Painted(text)
	}
	return Painted("\x1b[" + string(s) + "m" + text + "\x1b[0m")
}

// IsTerminal reports whether a reader or writer is a terminal.
func IsTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// Colour reports whether w may get colours (no-color.org).
func Colour(w io.Writer, getenv func(string) string) bool {
	return getenv("NO_COLOR") == "" && !Dumb(getenv) && IsTerminal(w)
}
