package dkim_test

import (
	"crypto/sha256"
	"regexp"
	"strings"
	"testing"

	ours "enotify/sender/dkim"
)

var space = regexp.MustCompile("[ \t]+")

// canonical is a body in relaxed form, by the words of RFC 6376 §3.4.4.
func canonical(body string) string {
	lines := strings.Split(body, "\r\n")
	for i, line := range lines {
		lines[i] = strings.TrimRight(space.ReplaceAllString(line, " "), " ")
	}
	for len(lines) > 0 && lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	if len(lines) == 0 {
		return ""
	}
	return strings.Join(lines, "\r\n") + "\r\n"
}

// All bodies of up to six pieces, each hashed as a whole and octet by octet.
func TestBodyHash(t *testing.T) {
	t.Parallel()
	var try func(body string, pieces int)
	try = func(body string, pieces int) {
		want := sha256.Sum256([]byte(canonical(body)))
		slow := ours.NewBodyHash()
		for i := range len(body) {
			slow.Write([]byte{body[i]})
		}
		if got := ours.HashBody([]byte(body)); got != want {
			t.Errorf("%q: got %x, want %x", body, got, want)
		}
		if got := slow.Sum(); got != want {
			t.Errorf("%q, octet by octet: got %x, want %x", body, got, want)
		}
		if pieces == 0 || t.Failed() {
			return
		}
		for _, piece := range []string{"a", "é", " ", "\t", "\r\n"} {
			try(body+piece, pieces-1)
		}
	}
	try("", 6)
}
