package term

import (
	"strings"
	"unicode/utf8"
)

// Clip returns text from outside as one [Visible] line of at most width
// characters.
func Clip(text string, width int) string {
	return shorten(Visible(strings.Join(strings.Fields(text), " ")), width)
}

// Cut shortens a line of columns, whose spaces [Clip] would join, to width
// characters.
func Cut(line string, width int) string {
	return shorten(Visible(strings.TrimRight(strings.ReplaceAll(line, "\n", " "), " ")), width)
}

func shorten(line string, width int) string {
	if r := []rune(line); len(r) > width {
		return string(r[:width-1]) + "…"
	}
	return line
}

// Pad fills text up with spaces to width characters.
func Pad(text string, width int) string {
	return text + strings.Repeat(" ", max(0, width-utf8.RuneCountInString(text)))
}

// Fit joins the first remarks, as many as have room in width characters.
func Fit(remarks []string, width int) string {
	text := ""
	for _, remark := range remarks {
		if text != "" {
			remark = ", " + remark
		}
		if utf8.RuneCountInString(text+remark) > width {
			break
		}
		text += remark
	}
	return Visible(text)
}

// Wrap breaks text into [Visible] lines of at most width characters; a longer
// word has a line of its own.
func Wrap(text string, width int) []string {
	var lines []string
	var line strings.Builder
	room := width
	for i, word := range strings.Fields(Visible(text)) {
		n := utf8.RuneCountInString(word)
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

// Gauge is a bar of width characters: full for what is done, half for what is
// deferred.
func Gauge(width, done, deferred, total int) string {
	total = max(1, total)
	full := done * width / total
	half := (done+deferred)*width/total - full
	return strings.Repeat("█", full) + strings.Repeat("▒", half) + strings.Repeat("░", width-full-half)
}
