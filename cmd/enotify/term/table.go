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
// texts in its cells; where that is not enough, the last texts of a row stand below
// it; and where even that is not, each row becomes a paragraph.
func (p *Page) Table(header []string, rows ...[]string) {
	g := measure(header, rows)
	beside := len(g.width) // columns that stand beside each other
	if p.Columns > 0 && header != nil {
		beside = g.fit(p.Columns)
	}
	if beside > 0 && header != nil {
		p.row(g, header[:min(beside, len(header))], func(string) Style { return Bold })
	}
	for n, row := range g.rows {
		if beside == 0 && n > 0 {
			p.Line("")
		}
		here := min(beside, len(row))
		if here > 0 {
			p.row(g, row[:here], StyleOf)
		}
		p.below(g, row, here)
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
	for i, w := range g.width {
		g.right[i] = g.right[i] && w > 0 // a column without anything may hold texts elsewhere
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

// fit makes the columns fit the page, and returns how many of them stand beside each
// other: all, or all but the last texts, or none.
func (g *grid) fit(columns int) (beside int) {
	const fewest = 3 // columns that still make a table
	for beside = len(g.width); beside >= min(fewest, len(g.width)); beside-- {
		if width, ok := g.narrowed(beside, columns); ok {
			copy(g.width, width)
			return beside
		}
		if g.right[beside-1] {
			break
		}
	}
	return 0
}

// narrowed gives the widest texts of the first n columns less room, until they fit
// the page, and reports whether that was enough.
func (g *grid) narrowed(n, columns int) (width []int, ok bool) {
	const least = 14 // columns, that a text is still readable in
	width = slices.Clone(g.width[:n])
	for {
		total, widest := -gap, -1
		for i, w := range width {
			total += w + gap
			if !g.right[i] && w > max(least, Width(g.title(i))) && (widest < 0 || w > width[widest]) {
				widest = i
			}
		}
		if total <= columns || widest < 0 {
			return width, total <= columns
		}
		width[widest] = max(least, Width(g.title(widest)), width[widest]-(total-columns))
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

// below prints the cells of a row from one on as lines of title and value, under the
// row, or as a paragraph where no cell stands in the row. What is empty is left out,
// and so is a zero.
func (p *Page) below(g *grid, row []string, from int) {
	indent, label := "", 0
	if from > 0 {
		indent = strings.Repeat(" ", 2*gap)
	}
	for i := from; i < len(g.width); i++ {
		label = max(label, Width(g.title(i)))
	}
	for i := from; i < len(row); i++ {
		if row[i] == "" || row[i] == "0" && i > 0 {
			continue
		}
		for k, line := range fold(row[i], max(10, p.Columns-len(indent)-label-gap)) {
			title := ""
			if k == 0 {
				title = g.title(i)
			}
			p.Line("%s%s%s%s", indent, p.Paint(Pad(title, label), Bold), strings.Repeat(" ", gap),
				p.Paint(line, StyleOf(row[i])))
		}
	}
}

// numeric reports whether a cell holds a count, or nothing.
func numeric(cell string) bool {
	return !slices.ContainsFunc([]rune(cell), func(r rune) bool { return !unicode.IsDigit(r) && r != ',' && r != '%' })
}
