package report

import (
	"html"
	"strings"
)

// breaks are tags behind which a line ends.
var breaks = map[string]bool{"br": true, "/p": true, "/div": true, "/tr": true, "/li": true, "/h1": true, "/h2": true,
	"/h3": true, "/h4": true, "/h5": true, "/h6": true}

// unmarked is the text of HTML, near enough. It reads the markup once, whatever is in it:
// an end that was looked for and is not there is not looked for again.
func unmarked(markup string) string {
	markup = markup[:min(len(markup), 4*maxText)]
	lower := lowered(markup)
	missing := map[string]bool{}
	behind := func(from int, end string) int {
		if missing[end] {
			return -1
		}
		at := strings.Index(lower[from:], end)
		if at < 0 {
			missing[end] = true
			return -1
		}
		return from + at + len(end)
	}
	var text strings.Builder
	for at := 0; at < len(markup); {
		open := strings.IndexByte(markup[at:], '<')
		if open < 0 {
			text.WriteString(markup[at:])
			break
		}
		text.WriteString(markup[at : at+open])
		at += open
		tag, next := tagName(lower[at+1:]), -1
		switch {
		case strings.HasPrefix(lower[at:], "<!--"):
			next = behind(at, "-->")
		case tag == "style", tag == "script":
			next = behind(at, "</"+tag+">")
		}
		if next < 0 && tag != "" {
			next = behind(at, ">")
		}
		switch {
		case next < 0: // no tag
			text.WriteByte('<')
			next = at + 1
		case breaks[tag]:
			text.WriteByte('\n')
		default:
			text.WriteByte(' ')
		}
		at = next
	}
	return html.UnescapeString(text.String())
}

// tagName is the name at the beginning of what follows a "<", with the "/" of an end;
// "!" of a declaration or comment. "" is no tag.
func tagName(text string) string {
	if strings.HasPrefix(text, "!") {
		return "!"
	}
	n := 0
	if strings.HasPrefix(text, "/") {
		n = 1
	}
	if n == len(text) || !letter(text[n]) {
		return ""
	}
	for n < len(text) && (letter(text[n]) || '0' <= text[n] && text[n] <= '9') {
		n++
	}
	return text[:n]
}

// lowered is text with the letters of ASCII in lower case, octet by octet.
func lowered(text string) string {
	lower := []byte(text)
	for i, c := range lower {
		if 'A' <= c && c <= 'Z' {
			lower[i] = c | 0x20
		}
	}
	return string(lower)
}
