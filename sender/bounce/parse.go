package bounce

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"enotify/queue"
)

// Parse reads a reply as people and programs write it down: as it came over
// the wire, in several lines or with \n for the line breaks, quoted by Go, or
// with the prefixes of logs and delivery reports ("smtp; 550 …" of RFC 3464
// §2.3.6, "host mx.example.net said: 550 …"). What is not there stays zero.
func Parse(line string) queue.Reply {
	s := strings.TrimSpace(line)
	s = unquote(s)
	s = trimContext(trimPrefix(s))

	var r queue.Reply
	r.Code = replyCode(s)
	if r.Code != 0 {
		s = strings.TrimLeft(s[3:], "- \t")
		s = unquote(s)
	}
	if strings.IndexByte(s, '\\') >= 0 {
		s = newlines.Replace(s)
	}
	// gateways repeat the code of the server behind them: "550 550 5.7.1 …"
	for r.Code != 0 && replyCode(s) == r.Code {
		s = strings.TrimLeft(s[3:], "- \t")
	}
	s, first := trimEnhanced(s)
	r.Enhanced = first
	if strings.IndexByte(s, '\n') < 0 {
		r.Text = strings.TrimSpace(s)
	} else {
		r.Text = joinLines(s, r.Code, &r.Enhanced)
	}
	if r.Enhanced == "" {
		r.Enhanced = findEnhanced(r.Text)
	}
	return r
}

// joinLines takes the code, which every line of a reply repeats (RFC 5321
// §4.2.1), and the enhanced code (RFC 2034 §4) off all lines.
func joinLines(s string, code int, enhanced *string) string {
	var b strings.Builder
	b.Grow(len(s))
	for l := range strings.SplitSeq(s, "\n") {
		l = strings.TrimSpace(l)
		if code != 0 && replyCode(l) == code {
			l = strings.TrimLeft(l[3:], "- \t")
		}
		l, e := trimEnhanced(l)
		if *enhanced == "" {
			*enhanced = e
		}
		if l = strings.TrimSpace(l); l == "" {
			continue
		}
		if b.Len() > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(l)
	}
	return b.String()
}

// trimEnhanced takes the enhanced code off the front, if there is one.
func trimEnhanced(s string) (rest, enhanced string) {
	t := strings.TrimLeft(s, "#")
	if enhanced = enhancedCode(t); enhanced == "" {
		return s, ""
	}
	return strings.TrimLeft(t[len(enhanced):], " \t:-"), enhanced
}

// unquote undoes Go's quotes around the whole of s.
func unquote(s string) string {
	if len(s) < 2 || s[0] != '"' || s[len(s)-1] != '"' {
		return s
	}
	if u, err := strconv.Unquote(s); err == nil && utf8.ValidString(u) {
		return strings.ReplaceAll(u, "\r\n", "\n")
	}
	return s[1 : len(s)-1]
}

var newlines = strings.NewReplacer(`\r\n`, "\n", `\n`, "\n", `\r`, "\n")

// trimPrefix takes off what stands before the code in logs and reports.
func trimPrefix(s string) string {
	for {
		t := s
		if i := strings.IndexByte(s[:min(len(s), 40)], ';'); i > 0 && diagnosticType(strings.TrimSpace(s[:i])) {
			s = strings.TrimLeft(s[i+1:], " \t")
		}
		// "host mx.example.net[192.0.2.1] said: 550 …", "… responded with: 550 …"
		head := s[:min(len(s), 400)]
		if replyCode(head) == 0 {
			for _, mark := range []string{" said: ", " said:\n", " responded: ", " replied: ", " answered: ",
				" with: "} {
				if i := strings.Index(head, mark); i >= 0 {
					if rest := strings.TrimLeft(s[i+len(mark):], " \n\""); replyCode(rest) != 0 ||
						enhancedCode(rest) != "" {
						s = rest
						break
					}
				}
			}
		}
		if s == t {
			return s
		}
	}
}

// diagnosticType reports whether a word names the kind of a Diagnostic-Code.
func diagnosticType(w string) bool {
	if strings.EqualFold(w, "smtp") || strings.EqualFold(w, "unknown") {
		return true
	}
	return len(w) > 2 && (w[0] == 'x' || w[0] == 'X') && w[1] == '-' && !strings.ContainsAny(w, " .:")
}

// trimContext takes off what Postfix adds, which may be wrapped anywhere: "(in
// reply to RCPT TO command)".
func trimContext(s string) string {
	s = strings.TrimSpace(s)
	i := strings.LastIndexByte(s, '(')
	if i < 0 || len(s)-i > 80 || !strings.HasSuffix(s, ")") {
		return s
	}
	if strings.HasPrefix(strings.Join(strings.Fields(s[i:]), " "), "(in reply to ") {
		return strings.TrimSpace(s[:i])
	}
	return s
}
