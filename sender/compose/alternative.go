package compose

import (
	"strings"
	"unicode/utf8"

	"golang.org/x/net/html"
)

// derived is the text of a message whose client wrote HTML alone: receivers
// expect one, and some people read nothing else.
type derived struct {
	part  *part
	holes []int // of the HTML, in the order in which the text has them
}

// firstHole is the character that stands for the first hole while HTML is made
// text, the next for the second. They are of a private plane of Unicode.
const (
	firstHole = '\U000F0000'
	lastHole  = '\U0010FFFD'
)

// newDerived makes text of a part of HTML.
func newDerived(from *part) *derived {
	var b strings.Builder
	for i, l := range from.literals {
		if i > 0 && i <= lastHole-firstHole {
			b.WriteRune(firstHole + rune(i-1))
		}
		if strings.ContainsFunc(l, isHole) {
			l = strings.Map(func(r rune) rune {
				if isHole(r) {
					return utf8.RuneError
				}
				return r
			}, l)
		}
		b.WriteString(l)
	}
	d := &derived{part: &part{name: "text", literals: []string{""}}}
	rest := toText(b.String()) + "\n"
	for {
		i := strings.IndexFunc(rest, isHole)
		if i < 0 {
			break
		}
		r, size := utf8.DecodeRuneInString(rest[i:])
		d.part.literals[len(d.part.literals)-1] = rest[:i]
		d.part.literals = append(d.part.literals, "")
		d.holes = append(d.holes, int(r-firstHole))
		rest = rest[i+size:]
	}
	d.part.literals[len(d.part.literals)-1] = rest
	return d
}

func isHole(r rune) bool { return r >= firstHole && r <= lastHole }

// fill is part.fill for text: it takes what fills the holes of the HTML.
func (d *derived) fill(out []byte, ends []int, filled valuesOf) ([]byte, []int) {
	for _, hole := range d.holes {
		out = append(out, fragment(string(filled.at(hole)))...)
		ends = append(ends, len(out))
	}
	return out, ends
}

// fragment makes text of HTML within other HTML.
func fragment(source string) string {
	if !strings.Contains(source, "<") {
		return html.UnescapeString(source)
	}
	s := toText(source)
	if s != "" && strings.TrimLeft(source, " ") != source {
		s = " " + s
	}
	if s != "" && strings.TrimRight(source, " ") != source {
		s += " "
	}
	return s
}

// textWidth is the most characters of a line of text, where it can be broken.
const textWidth = 76

// toText makes text of HTML: what a reader would see, links with their address
// behind them.
func toText(source string) string {
	w := &textWriter{}
	z := html.NewTokenizer(strings.NewReader(source))
	for {
		switch z.Next() {
		case html.ErrorToken:
			return w.end()
		case html.TextToken:
			w.text(string(z.Text()))
		case html.StartTagToken, html.SelfClosingTagToken:
			name, more := z.TagName()
			attributes := map[string]string{}
			for more {
				var key, value []byte
				key, value, more = z.TagAttr()
				attributes[string(key)] = string(value)
			}
			w.open(string(name), attributes)
		case html.EndTagToken:
			name, _ := z.TagName()
			w.close(string(name))
		}
	}
}

// A textWriter takes HTML in and writes lines of text.
type textWriter struct {
	out   strings.Builder
	line  []rune // what is written of the current line
	blank int    // empty lines that are due before the next text
	begun bool   // whether there is any text
	space bool   // white space that is due before the next word
	skip  string // the element whose content nobody sees
	deep  int    // of it
	pre   int
	lists []int // the numbers of the lists that are open; -1: without
	links []link
	cells int // of the row
}

// A link is an <a> element that is not closed yet.
type link struct {
	href string
	text strings.Builder
}

// unseen are elements whose content is not shown.
var unseen = map[string]bool{"head": true, "style": true, "script": true, "title": true, "template": true}

// blocks are elements that stand on lines of their own; the number counts the empty
// lines before and after.
var blocks = map[string]int{
	"p": 1, "h1": 1, "h2": 1, "h3": 1, "h4": 1, "h5": 1, "h6": 1, "ul": 1, "ol": 1, "dl": 1, "table": 1,
	"blockquote": 1, "pre": 1, "hr": 1,
	"div": 0, "tr": 0, "li": 0, "dt": 0, "dd": 0, "section": 0, "article": 0, "header": 0, "footer": 0, "center": 0,
	"address": 0, "tbody": 0, "body": 0, "html": 0, "form": 0, "figure": 0, "figcaption": 0, "caption": 0, "main": 0,
	"nav": 0,
}

func (w *textWriter) open(name string, attributes map[string]string) {
	if name == "body" { // whether or not the head was closed
		w.skip = ""
	}
	if w.skip != "" {
		if name == w.skip {
			w.deep++
		}
		return
	}
	if unseen[name] || hides[name] && hidden(attributes["style"]) {
		w.skip, w.deep = name, 1
		return
	}
	switch name {
	case "br":
		w.newline()
	case "hr":
		w.block(1)
		w.word(strings.Repeat("-", 40))
		w.block(1)
	case "img":
		if alt := strings.TrimSpace(attributes["alt"]); alt != "" {
			w.text(alt)
		}
	case "a":
		w.links = append(w.links, link{href: strings.TrimSpace(attributes["href"])})
	case "td", "th":
		if w.cells++; w.cells > 1 && len(w.line) > 0 {
			w.space = true
		}
	case "ul", "ol":
		if len(w.lists) == 0 {
			w.block(1)
		} else {
			w.block(0)
		}
		n := -1
		if name == "ol" {
			n = 0
		}
		w.lists = append(w.lists, n)
	case "li":
		w.block(0)
		mark := "- "
		if n := len(w.lists); n > 0 && w.lists[n-1] >= 0 {
			w.lists[n-1]++
			mark = itoa(w.lists[n-1]) + ". "
		}
		w.begin()
		w.line = append(w.line, []rune(strings.Repeat("  ", max(0, len(w.lists)-1))+mark)...)
	case "pre":
		w.block(1)
		w.pre++
	default:
		if name == "tr" {
			w.cells = 0
		}
		if n, ok := blocks[name]; ok {
			w.block(n)
		}
	}
}

// hides are elements that are hidden as a whole; all of them are closed again.
var hides = map[string]bool{"div": true, "span": true, "table": true}

// hidden reports a style that hides an element: a line for the inbox that
// stands before the message, as a rule.
func hidden(style string) bool {
	style = strings.ToLower(strings.ReplaceAll(style, " ", ""))
	return strings.Contains(style, "display:none") || strings.Contains(style, "mso-hide:all") &&
		strings.Contains(style, "max-height:0")
}

func (w *textWriter) close(name string) {
	if w.skip != "" {
		if name == w.skip {
			if w.deep--; w.deep == 0 {
				w.skip = ""
			}
		}
		return
	}
	switch name {
	case "a":
		if n := len(w.links); n > 0 {
			l := &w.links[n-1]
			shown := strings.TrimSpace(l.text.String())
			w.links = w.links[:n-1]
			if address := strings.TrimPrefix(l.href, "mailto:"); address != "" && !strings.HasPrefix(address, "#") &&
				address != shown && l.href != shown {
				if shown == "" {
					return // a picture without words
				}
				w.space = false
				w.words(" (" + address + ")")
			}
		}
	case "ul", "ol":
		if n := len(w.lists); n > 0 {
			w.lists = w.lists[:n-1]
		}
		if len(w.lists) == 0 {
			w.block(1)
		} else {
			w.block(0)
		}
	case "pre":
		w.pre = max(0, w.pre-1)
		w.block(1)
	default:
		if n, ok := blocks[name]; ok {
			w.block(n)
		}
	}
}

func (w *textWriter) text(s string) {
	if w.skip != "" {
		return
	}
	for i := range w.links {
		w.links[i].text.WriteString(s)
	}
	if w.pre > 0 {
		for i, line := range strings.Split(s, "\n") {
			if i > 0 {
				w.newline()
			}
			if line != "" {
				w.begin()
				w.line = append(w.line, []rune(line)...)
			}
		}
		return
	}
	w.words(s)
}

// words writes text in which every run of white space is one space.
func (w *textWriter) words(s string) {
	for s != "" {
		i := strings.IndexAny(s, " \t\r\n\f")
		switch {
		case i == 0:
			w.space = true
			s = s[1:]
			continue
		case i < 0:
			i = len(s)
		}
		w.word(s[:i])
		s = s[i:]
	}
}

func (w *textWriter) word(word string) {
	word = strings.Map(func(r rune) rune {
		switch r {
		case '\u00a0':
			return ' '
		case '\u00ad', '\u200b', '\u200c', '\u200d', '\u2060', '\ufeff', '\u034f',
			'\u2007': // fillers of what stands before a message
			if r == '\u200d' || r == '\u200c' {
				return r
			}
			return -1
		}
		return r
	}, word)
	if strings.Trim(word, " \u200c\u200d") == "" {
		w.space = w.space || word != ""
		return
	}
	w.begin()
	runes := []rune(word)
	if w.space && len(w.line) > 0 && w.line[len(w.line)-1] != ' ' {
		if len(w.line)+1+len(runes) > textWidth {
			w.flush()
		} else {
			w.line = append(w.line, ' ')
		}
	}
	w.space = false
	w.line = append(w.line, runes...)
}

// begin writes the empty lines that are due.
func (w *textWriter) begin() {
	if w.begun && len(w.line) == 0 {
		for range w.blank {
			w.out.WriteByte('\n')
		}
	}
	w.begun, w.blank = true, 0
}

func (w *textWriter) newline() {
	if len(w.line) == 0 {
		if w.begun {
			w.blank = min(1, w.blank+1)
		}
		return
	}
	w.flush()
}

func (w *textWriter) flush() {
	w.out.WriteString(strings.TrimRight(string(w.line), " "))
	w.out.WriteByte('\n')
	w.line, w.space = w.line[:0], false
}

// block ends the line, and has n empty lines before the next text.
func (w *textWriter) block(n int) {
	if len(w.line) > 0 {
		w.flush()
	}
	w.space = false
	w.blank = max(w.blank, n)
}

func (w *textWriter) end() string {
	if len(w.line) > 0 {
		w.out.WriteString(strings.TrimRight(string(w.line), " "))
	}
	return strings.TrimRight(w.out.String(), "\n")
}

func itoa(n int) string {
	if n < 10 {
		return string(rune('0' + n))
	}
	return itoa(n/10) + string(rune('0'+n%10))
}
