package guide

import (
	"fmt"
	"io"
	"path"
	"regexp"
	"strings"

	"enotify/cmd/enotify/term"
)

// ANSI escape sequences of a terminal.
const (
	bold  = "\x1b[1m"
	plain = "\x1b[0m"
)

// Render writes a page for people who read it in a terminal: fences and
// comments are dropped, code is indented, columns of tables are aligned and
// links name the command that shows the other page. Headings and code within a
// sentence are bold where styled is set; else the text has no escape sequence. Prose and
// tables are wrapped at so many columns, or at [width] if that is less; with 0, prose keeps
// its lines.
func Render(w io.Writer, page string, styled bool, columns int) error {
	r := renderer{styled: styled, columns: columns}
	for _, block := range Parse(page) {
		r.block(block)
	}
	_, err := io.WriteString(w, r.out.String())
	return err
}

type renderer struct {
	styled  bool
	columns int
	out     strings.Builder
}

func (r *renderer) block(b Block) {
	if b.Kind == Comment {
		return
	}
	if r.out.Len() > 0 {
		r.out.WriteByte('\n')
	}
	switch b.Kind {
	case Heading:
		fmt.Fprintln(&r.out, r.strong(strings.TrimLeft(b.Text, "# ")))
	case Code:
		fmt.Fprintln(&r.out, "    "+strings.ReplaceAll(b.Text, "\n", "\n    "))
	case Table:
		r.table(strings.Split(b.Text, "\n"))
	default:
		fmt.Fprintln(&r.out, r.inline(r.reflow(links(b.Text))))
	}
}

var (
	linkPattern = regexp.MustCompile(`\[([^\]]*)\]\(([^)]*)\)`)
	codePattern = regexp.MustCompile("`([^`]+)`")
	boldPattern = regexp.MustCompile(`\*\*([^*]+)\*\*`)
)

// links replaces links by their text and where they lead: the command that shows
// a page, a path in the repository, or an address.
func links(text string) string {
	return linkPattern.ReplaceAllStringFunc(text, func(link string) string {
		part := linkPattern.FindStringSubmatch(link)
		target, _, _ := strings.Cut(part[2], "#")
		target = strings.TrimPrefix(target, "../../../")
		name, isPage := strings.CutSuffix(target, ".md")
		switch {
		case isPage && strings.ToLower(name) == name:
			return part[1] + " (`enotify help " + name + "`)"
		case path.Base(target) == part[1]:
			return target
		}
		return part[1] + " (" + target + ")"
	})
}

// inline renders links, code and strong text within a sentence. Code keeps its
// backticks where nothing else would set it apart.
func (r *renderer) inline(text string) string {
	text = links(text)
	text = boldPattern.ReplaceAllStringFunc(text, func(s string) string { return r.strong(strings.Trim(s, "*")) })
	if r.styled {
		text = codePattern.ReplaceAllString(text, bold+"$1"+plain)
	}
	return text
}

func (r *renderer) strong(text string) string {
	if !r.styled {
		return text
	}
	return bold + text + plain
}

// width is how wide lines of prose, and tables before their last column is wrapped, may be.
const width = 100

// itemPattern finds the mark of a list item.
var itemPattern = regexp.MustCompile(`(?m)^(- |\d+\. )`)

// reflow wraps paragraphs and list items. Indented paragraphs, such as diagrams, stay.
func (r *renderer) reflow(prose string) string {
	if r.columns == 0 {
		return prose
	}
	paragraphs := strings.Split(prose, "\n\n")
	for i, p := range paragraphs {
		if strings.HasPrefix(p, "    ") {
			continue
		}
		var lines []string
		begins := append(itemPattern.FindAllStringIndex(p, -1), []int{len(p), len(p)})
		if begins[0][0] > 0 { // no item, or a sentence before the first
			lines = wrap(p[:begins[0][0]], min(r.columns, width))
		}
		for n, at := range begins[:len(begins)-1] {
			mark := p[at[0]:at[1]]
			for k, line := range wrap(p[at[1]:begins[n+1][0]], min(r.columns, width)-len(mark)) {
				if k > 0 {
					mark = strings.Repeat(" ", len(mark))
				}
				lines = append(lines, mark+line)
			}
		}
		paragraphs[i] = strings.Join(lines, "\n")
	}
	return strings.Join(paragraphs, "\n\n")
}

func wrap(text string, width int) []string {
	return term.Wrap(strings.ReplaceAll(text, "\n", " "), width)
}

// table writes rows in columns as wide as their widest cell. The last column
// is wrapped where it would not fit. The line under the header, which only
// Markdown needs, is dropped.
func (r *renderer) table(lines []string) {
	var rows [][]string
	var widths []int
	for i, line := range lines {
		if i == 1 {
			continue
		}
		cells := strings.Split(strings.Trim(line, "|"), "|")
		for j, cell := range cells {
			cells[j] = links(strings.TrimSpace(cell))
			if j == len(widths) {
				widths = append(widths, 0)
			}
			widths[j] = max(widths[j], term.Width(cells[j]))
		}
		rows = append(rows, cells)
	}
	for _, cells := range rows {
		r.row(cells, widths)
	}
}

func (r *renderer) row(cells []string, widths []int) {
	var head strings.Builder
	last := len(cells) - 1
	for j, cell := range cells[:last] {
		head.WriteString(term.Pad(cell, widths[j]+2))
	}
	indent := term.Width(head.String())
	wide := width
	if r.columns > 0 {
		wide = min(r.columns, width)
	}
	for i, line := range term.Wrap(cells[last], max(wide-indent, 30)) {
		if i > 0 {
			head.Reset()
			head.WriteString(strings.Repeat(" ", indent))
		}
		fmt.Fprintln(&r.out, strings.TrimRight(r.inline(head.String()+line), " "))
	}
}
