package report

import (
	"net/mail"
	"regexp"
	"strings"
)

// A field of a header (RFC 5322 §2.2), or of a group of RFC 3464 §2.1.
type field struct{ name, value string }

type fields []field

// value is the value of the first field of a name, in upper or lower case.
func (fs fields) value(name string) string {
	for _, f := range fs {
		if strings.EqualFold(f.name, name) {
			return f.value
		}
	}
	return ""
}

func (fs fields) values(name string) (all []string) {
	for _, f := range fs {
		if strings.EqualFold(f.name, name) {
			all = append(all, f.value)
		}
	}
	return all
}

func (fs fields) has(name string) bool {
	for _, f := range fs {
		if strings.EqualFold(f.name, name) {
			return true
		}
	}
	return false
}

// readFields reads the header at the beginning of text. A folded value keeps
// its line breaks, as a reply of several lines needs them. Lines that are no
// field are passed over: reports quote what others have mangled. So is what is
// over the limits.
func readFields(text string) (fs fields, rest string) {
	for text != "" {
		line, after, _ := strings.Cut(text, "\n")
		line = strings.TrimRight(line, "\r")
		if strings.TrimSpace(line) == "" {
			return fs, after
		}
		text = after
		switch name, value, ok := cutField(line); {
		case line[0] == ' ' || line[0] == '\t':
			if last := len(fs) - 1; last >= 0 && len(fs[last].value) < maxValue {
				fs[last].value += "\n" + strings.TrimSpace(line[:min(len(line), maxValue)])
			}
		case ok && len(fs) < maxFields:
			value = strings.TrimSpace(value)
			fs = append(fs, field{name, value[:min(len(value), maxValue)]})
		}
	}
	return fs, ""
}

func cutField(line string) (name, value string, ok bool) {
	name, value, ok = strings.Cut(line, ":")
	name = strings.TrimRight(name, " \t")
	return name, value, ok && isName(name)
}

// isName reports whether s can name a field (RFC 5322 §3.6.8); none has 60 letters.
func isName(s string) bool {
	if s == "" || len(s) > 60 || !letter(s[0]) {
		return false
	}
	for i := range len(s) {
		if c := s[i]; !letter(c) && c != '-' && c != '_' && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}

func letter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

// anAddress finds addresses in running text. What is quoted in a local part is
// rare, and a sender of notifications can do without.
var anAddress = regexp.MustCompile(`[^\s<>"'()\[\],;:@\x00-\x1f]+@[\pL\pN](?:[\pL\pN._-]*[\pL\pN])?`)

// address is the address in a field: in "rfc822; <a@example.org>", of "A <a@example.org>".
// What is too long for an address is none, and is not parsed.
func address(value string) string {
	if len(value) > 4*maxAddress {
		return ""
	}
	if kind, rest, ok := strings.Cut(value, ";"); ok && !strings.Contains(kind, "@") {
		value = rest
	}
	value = strings.TrimSpace(value)
	if open := strings.LastIndexByte(value, '<'); open >= 0 {
		if end := strings.IndexByte(value[open:], '>'); end > 0 {
			value = value[open+1 : open+end]
		}
	}
	if strings.HasPrefix(value, `"`) {
		if a, err := mail.ParseAddress(value); err == nil && !strings.ContainsAny(value, " \n") {
			return quoteLocal(a.Address, value)
		}
	}
	if a := strings.TrimSuffix(anAddress.FindString(value), "."); len(a) <= maxAddress {
		return a
	}
	return ""
}

// quoteLocal keeps the quotes that net/mail takes off a local part.
func quoteLocal(parsed, written string) string {
	if strings.HasSuffix(written, parsed[strings.LastIndexByte(parsed, '@'):]) {
		return written
	}
	return parsed
}

var anID = regexp.MustCompile(`<[^<>\s]{1,500}>`)

// messageID is the first of a Message-ID field.
func messageID(value string) string { return anID.FindString(value) }
