package term

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Table prints rows in columns under a header, or without one if header is nil.
// Unlike text/tabwriter it aligns numbers to the right and counts the columns
// before it paints.
func (p *Page) Table(header []string, rows ...[]string) {
	var width []int
	var right []bool
	for _, row := range rows {
		for i, cell := range row {
			cell = Visible(cell)
			row[i] = cell
			if i == len(width) {
				width, right = append(width, 0), append(right, true)
			}
			width[i] = max(width[i], utf8.RuneCountInString(cell))
			right[i] = right[i] && numeric(cell)
		}
	}
	for i, title := range header {
		if i < len(width) {
			width[i] = max(width[i], utf8.RuneCountInString(title))
		} else {
			width, right = append(width, utf8.RuneCountInString(title)), append(right, false)
		}
	}
	line := func(cells []string, style func(string) Style) {
		var b strings.Builder
		for i, cell := range cells {
			space := strings.Repeat(" ", width[i]-utf8.RuneCountInString(cell))
			if right[i] {
				b.WriteString(space)
			}
			b.WriteString(string(p.Paint(cell, style(cell))))
			if !right[i] {
				b.WriteString(space)
			}
			b.WriteString("  ")
		}
		p.Line("%s", Painted(b.String()))
	}
	if header != nil {
		line(header, func(string) Style { return Bold })
	}
	for _, row := range rows {
		line(row, StyleOf)
	}
}

// numeric reports whether a cell holds a count, or nothing.
func numeric(cell string) bool {
	return strings.TrimFunc(cell, func(r rune) bool { return unicode.IsDigit(r) || r == ',' || r == '%' }) == ""
}
