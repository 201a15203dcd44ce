package term

import (
	"slices"
	"strings"
	"unicode"
)

// gap is between two columns of a table.
const gap = 2

// A grid is a table with its measures, in columns of the terminal.
type grid struct {
	header []string
	rows   [][]string
	width  []int
	right  []bool // numbers stand at the right
}

// Table prints rows in columns under a header, or without one if header is nil.
// Unlike text/tabwriter it aligns numbers to the right and counts the columns
// before it paints. A table with a header that is wider than the page breaks the
// texts in its cells; where that is not enough, each row becomes a paragraph.
func (p *Page) Table(header []string, rows ...[]string) {
	g := measure(header, rows)
	if p.Columns > 0 && header != nil && !g.narrow(p.Columns) {
		p.paragraphs(g)
		return
	}
	if header != nil {
		p.row(g, header, func(string) Style { return Bold })
	}
	for _, row := range g.rows {
		p.row(g, row, StyleOf)
	}
}

func measure(header []string, rows [][]string) *grid {
	g := &grid{header: header, rows: rows}
	for _, row := range rows {
		for i, cell := range row {
			cell = Visible(cell)
			row[i] = cell
			if i == len(g.width) {
				g.width, g.right = append(g.width, 0), append(g.right, true)
			}
			g.width[i] = max(g.width[i], Width(cell))
			g.right[i] = g.right[i] && numeric(cell)
		}
	}
	for i, title := range header {
		if i < len(g.width) {
			g.width[i] = max(g.width[i], Width(title))
		} else {
			g.width, g.right = append(g.width, Width(title)), append(g.right, false)
		}
	}
	return g
}

// narrow gives the widest columns of text less room, until the table fits. It
// reports whether that was enough.
func (g *grid) narrow(columns int) bool {
	const least = 14 // columns, that a text is still readable in
	for {
		total := -gap
		widest := -1
		for i, w := range g.width {
			total += w + gap
			if !g.right[i] && w > max(least, Width(g.title(i))) && (widest < 0 || w > g.width[widest]) {
				widest = i
			}
		}
		if total <= columns {
			return true
		}
		if widest < 0 {
			return false
		}
		g.width[widest] = max(least, Width(g.title(widest)), g.width[widest]-(total-columns))
	}
}

func (g *grid) title(i int) string {
	if i < len(g.header) {
		return g.header[i]
	}
	return ""
}

// row prints a row, whose texts go on in the lines below where they need to.
func (p *Page) row(g *grid, cells []string, style func(string) Style) {
	lines := make([][]string, len(cells))
	height := 1
	for i, cell := range cells {
		lines[i] = []string{cell}
		if Width(cell) > g.width[i] {
			lines[i] = fold(cell, g.width[i])
		}
		height = max(height, len(lines[i]))
	}
	for n := range height {
		var b strings.Builder
		for i, cell := range cells {
			text := ""
			if n < len(lines[i]) {
				text = lines[i][n]
			}
			space := strings.Repeat(" ", max(0, g.width[i]-Width(text)))
			if g.right[i] {
				b.WriteString(space)
			}
			b.WriteString(string(p.Paint(text, style(cell))))
			if !g.right[i] {
				b.WriteString(space)
			}
			b.WriteString(strings.Repeat(" ", gap))
		}
		p.Line("%s", Painted(b.String()))
	}
}

// fold breaks text into lines; a word that is longer than a line is broken too.
func fold(text string, width int) []string {
	var lines []string
	for _, line := range Wrap(text, width) {
		for Width(line) > width {
			head := strings.TrimSuffix(shorten(line, width+1), "…")
			if head == "" || head == line {
				break // a character that is wider than the column
			}
			lines, line = append(lines, head), strings.TrimPrefix(line, head)
		}
		lines = append(lines, line)
	}
	return lines
}

// paragraphs prints each row as lines of title and value. What is empty is left
// out, and so is a zero.
func (p *Page) paragraphs(g *grid) {
	label := 0
	for _, title := range g.header {
		label = max(label, Width(title))
	}
	for n, row := range g.rows {
		if n > 0 {
			p.Line("")
		}
		for i, cell := range row {
			if cell == "" || cell == "0" && i > 0 {
				continue
			}
			for k, line := range fold(cell, max(10, p.Columns-label-gap)) {
				title := ""
				if k == 0 {
					title = g.title(i)
				}
				p.Line("%s%s%s", p.Paint(Pad(title, label), Bold), strings.Repeat(" ", gap), p.Paint(line, StyleOf(cell)))
			}
		}
	}
}

// numeric reports whether a cell holds a count, or nothing.
func numeric(cell string) bool {
	return !slices.ContainsFunc([]rune(cell), func(r rune) bool { return !unicode.IsDigit(r) && r != ',' && r != '%' })
}
