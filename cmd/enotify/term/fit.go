package term

import (
	"strings"

	"github.com/clipperhouse/displaywidth"
)

// Clip returns text from outside as one [Visible] line of at most width columns.
func Clip(text string, width int) string {
	return shorten(Visible(strings.Join(strings.Fields(text), " ")), width)
}

// Cut shortens a line of columns, whose spaces [Clip] would join, to width
// columns.
func Cut(line string, width int) string {
	return shorten(Visible(strings.TrimRight(strings.ReplaceAll(line, "\n", " "), " ")), width)
}

func shorten(line string, width int) string {
	return displaywidth.TruncateString(line, width, "…")
}

// Pad fills text up with spaces to width columns.
func Pad(text string, width int) string {
	return text + strings.Repeat(" ", max(0, width-Width(text)))
}

// Fit joins the first remarks, as many as have room in width columns.
func Fit(remarks []string, width int) string {
	text := ""
	for _, remark := range remarks {
		if text != "" {
			remark = ", " + remark
		}
		if Width(text+remark) > width {
			break
		}
		text += remark
	}
	return Visible(text)
}

// Wrap breaks text into [Visible] lines of at most width columns; a longer
// word has a line of its own.
func Wrap(text string, width int) []string {
	var lines []string
	var line strings.Builder
	room := width
	for i, word := range strings.Fields(Visible(text)) {
		n := Width(word)
		switch {
		case i == 0:
		case n+1 > room:
			lines = append(lines, line.String())
			line.Reset()
			room = width
		default:
			line.WriteByte(' ')
			room--
		}
		line.WriteString(word)
		room -= n
	}
	return append(lines, line.String())
}

// Gauge is a bar of width columns: full for what is done, half for what is
// deferred.
func Gauge(width, done, deferred, total int) string {
	total = max(1, total)
	full := done * width / total
	half := (done+deferred)*width/total - full
	return strings.Repeat("█", full) + strings.Repeat("▒", half) + strings.Repeat("░", width-full-half)
}
