package sender

import (
	"bufio"
	"fmt"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"enotify/queue"
	"enotify/sender/bounce"
)

// readReply reads one reply (RFC 5321 §4.2) and returns its code and, with words, the text
// of all lines. A reply may lack its text, and the space before it. The error is a
// *textproto.Error when the code does not begin with the digits of want.
//
// The lines of a reply have one code (§4.2.1). Where they differ, the last code counts if
// all have the same first digit; else the reply is invalid.
func readReply(r *bufio.Reader, want int, words bool) (code int, text string, err error) {
	first := 0
	var lines []byte // a host may send 64 KiB of short ones
	for more := true; more; {
		line, err := readLine(r)
		if err != nil {
			return 0, "", err
		}
		if code, more, line, err = parseLine(line); err != nil {
			return 0, "", err
		}
		switch {
		case first == 0:
			first = code
			if words || more || !fits(code, want) { // most replies are one line, and only say yes
				text = string(line)
			}
		case code/100 != first/100:
			return 0, "", fmt.Errorf("%w: one reply has the codes %d and %d", errOutOfStep, first, code)
		default:
			if lines == nil {
				lines = []byte(text)
			}
			lines = append(append(lines, '\n'), line...)
		}
	}
	if lines != nil {
		text = string(lines)
	}
	if !fits(code, want) {
		return code, text, &textproto.Error{Code: code, Msg: text}
	}
	return code, text, nil
}

// readLine reads a line and returns it without its end, until the next one is read.
func readLine(r *bufio.Reader) ([]byte, error) {
	line, more, err := r.ReadLine()
	if err != nil || !more {
		return line, err
	}
	long := slices.Clone(line)
	for more && err == nil {
		line, more, err = r.ReadLine()
		long = append(long, line...)
	}
	return long, err
}

// fits reports whether a code begins with the digits of want.
func fits(code, want int) bool {
	for code > want {
		code /= 10
	}
	return code == want
}

// parseLine takes a line of a reply apart; more says that others follow.
func parseLine(line []byte) (code int, more bool, text []byte, err error) {
	for _, c := range line[:min(len(line), 3)] {
		if c < '0' || c > '9' {
			code = 0
			break
		}
		code = 10*code + int(c-'0')
	}
	rest := line[min(len(line), 3):]
	switch {
	case code < 100, code > 599, len(rest) > 0 && rest[0] != ' ' && rest[0] != '-':
		return 0, false, nil, textproto.ProtocolError("this is no reply: " + strconv.Quote(clean(string(line))))
	case len(rest) == 0:
		return code, false, nil, nil
	}
	return code, rest[0] == '-', rest[1:], nil
}

// parseReply takes the enhanced code, which every line of a reply repeats
// (RFC 2034 §4), off its text.
func parseReply(code int, text string) queue.Reply {
	r := queue.Reply{Code: code}
	text = clean(text)
	if !strings.Contains(text, "\n") {
		r.Enhanced, text = enhanced(code, text)
		r.Text = strings.TrimSpace(text)
		return r
	}
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if word, rest := enhanced(code, line); word != "" {
			r.Enhanced, lines[i] = word, rest
		}
	}
	r.Text = strings.TrimSpace(strings.Join(lines, "\n"))
	return r
}

// enhanced takes the enhanced code off a line: class.subject.detail, by the code's first digit;
// "" is none.
func enhanced(code int, line string) (word, rest string) {
	word, rest, _ = strings.Cut(line, " ")
	if word != "" && bounce.EnhancedCode(word) == word && word[0] == '0'+byte(code/100) {
		return word, rest
	}
	return "", line
}

// maxText is how much of a reply is kept.
const maxText = 1000 // octets

// clean makes text from a receiver fit for databases and terminals: it drops control
// characters and those that change the direction of the text.
func clean(text string) string {
	if len(text) > maxText {
		text = text[:maxText]
	}
	return strings.Map(func(r rune) rune { // which also makes U+FFFD of octets that are no UTF-8
		if r != '\n' && r != '\t' && (unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r)) {
			return ' '
		}
		return r
	}, text)
}
