package guide

import "strings"

// A Kind says what a Block is.
type Kind int

// The kinds of blocks. Prose is all that is none of the others: paragraphs and lists.
const (
	Prose Kind = iota
	Heading
	Table
	Code    // between two fences of three backticks
	Comment // <!-- … -->, which no reader sees
)

// A Block is a part of a page.
type Block struct {
	Kind Kind
	Info string // of Code: what stands after the opening fence
	Text string // without fences and comment marks
	Line int    // number of its first line in the page, from 1
}

// Parse splits a page into its blocks. It knows the Markdown that the pages are
// written in: # headings, fences at the start of a line, tables with outer
// pipes, and comments that begin and end a line.
func Parse(page string) []Block {
	var blocks []Block
	lines := strings.Split(strings.TrimRight(page, "\n"), "\n")
	for i := 0; i < len(lines); {
		block, n := parseBlock(lines[i:])
		block.Line = i + 1
		if strings.TrimSpace(block.Text) != "" || block.Kind == Code {
			blocks = append(blocks, block)
		}
		i += n
	}
	return blocks
}

// parseBlock reads one block from the first of lines on, and says how many
// lines it takes.
func parseBlock(lines []string) (b Block, n int) {
	first := lines[0]
	switch {
	case strings.HasPrefix(first, "```"):
		return parseCode(lines)
	case strings.HasPrefix(first, "<!--"):
		return parseComment(lines)
	case strings.HasPrefix(first, "#"):
		return Block{Kind: Heading, Text: first}, 1
	case strings.HasPrefix(first, "|"):
		n = span(lines, func(line string) bool { return strings.HasPrefix(line, "|") })
		return Block{Kind: Table, Text: strings.Join(lines[:n], "\n")}, n
	default:
		n = span(lines, func(line string) bool {
			return !strings.HasPrefix(line, "```") && !strings.HasPrefix(line, "<!--") &&
				!strings.HasPrefix(line, "#") && !strings.HasPrefix(line, "|")
		})
		return Block{Kind: Prose, Text: strings.Trim(strings.Join(lines[:n], "\n"), "\n")}, n
	}
}

func parseCode(lines []string) (Block, int) {
	n := 1 + span(lines[1:], func(line string) bool { return !strings.HasPrefix(line, "```") })
	block := Block{Kind: Code, Info: strings.TrimPrefix(lines[0], "```"), Text: strings.Join(lines[1:n], "\n")}
	return block, min(n+1, len(lines))
}

func parseComment(lines []string) (Block, int) {
	n := min(1+span(lines, func(line string) bool { return !strings.HasSuffix(line, "-->") }), len(lines))
	text := strings.TrimPrefix(strings.Join(lines[:n], "\n"), "<!--")
	return Block{Kind: Comment, Text: strings.TrimSpace(strings.TrimSuffix(text, "-->"))}, n
}

// span counts the leading lines that in accepts.
func span(lines []string, in func(line string) bool) int {
	for i, line := range lines {
		if !in(line) {
			return i
		}
	}
	return len(lines)
}
