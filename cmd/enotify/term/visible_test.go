package term_test

import (
	"errors"
	"testing"

	"enotify/cmd/enotify/term"
)

const escape = "\x1b[2J\x1b]0;owned\a"

// Text of strangers shows what it holds, and does nothing.
func TestVisible(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"v=spf1 -all":       "v=spf1 -all",
		`say "no" \ maybe`:  `say "no" \ maybe`,
		"bücher, 東京":        "bücher, 東京",
		escape:              `\x1b[2J\x1b]0;owned\a`,
		"a\nb\r\tc":         `a\nb\r\tc`,
		"\u202egpj.exe":     `\u202egpj.exe`,
		"\u2066x\u2069":     `\u2066x\u2069`,
		"\u009b31m":         `\u009b31m`,
		"in\u200bvisible":   `in\u200bvisible`,
		"not UTF-8: \xe9":   `not UTF-8: \xe9`,
		"a \ufffd as it is": "a \ufffd as it is",
		`twice: \x1b`:       `twice: \x1b`,
	} {
		if got := term.Visible(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

// Wherever text enters a page, it goes through the filter.
func TestPagesFilter(t *testing.T) {
	t.Parallel()
	for name, lay := range map[string]func(p *term.Page){
		"a line":    func(p *term.Page) { p.Line("%s", escape) },
		"an error":  func(p *term.Page) { p.Line("%v", errors.New(escape)) },
		"a heading": func(p *term.Page) { p.Heading("%s", escape) },
		"paint":     func(p *term.Page) { p.Line("%s", p.Paint(escape, "")) },
		"a cell":    func(p *term.Page) { p.Table(nil, []string{escape}) },
		"clip":      func(p *term.Page) { p.Line("%s", term.Painted(term.Clip(escape, 100))) },
		"cut":       func(p *term.Page) { p.Line("%s", term.Painted(term.Cut(escape, 100))) },
		"fit":       func(p *term.Page) { p.Line("%s", term.Painted(term.Fit([]string{escape}, 100))) },
		"wrap":      func(p *term.Page) { p.Line("%s", term.Painted(term.Wrap(escape, 100)[0])) },
	} {
		got := onPage(false, lay)
		for _, r := range got {
			if r < ' ' && r != '\n' {
				t.Errorf("%s: got %q, want no control character in it", name, got)
				break
			}
		}
	}
}
