package term_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"enotify/cmd/enotify/term"
)

// Characters of East Asia and pictures take two columns, combining accents and
// joiners none: what stands to the right of them stays where it is.
func TestWideCharactersKeepColumns(t *testing.T) {
	t.Parallel()
	got := onPage(false, func(p *term.Page) {
		p.Table([]string{"CLIENT", "SUBJECT", "N"}, []string{"東京.test", "市報", "1"},
			[]string{"a.test", "e\u0301te\u0301 🎉", "20"}, []string{"b.test", "plain", "3"})
	})
	want := "CLIENT     SUBJECT   N\n" +
		"東京.test  市報      1\n" +
		"a.test     e\u0301te\u0301 🎉   20\n" +
		"b.test     plain     3\n"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("table (-want +got):\n%s", diff)
	}
	for text, want := range map[string]string{"市報のお知らせ": "市報の…", "🎉🎉🎉🎉": "🎉🎉🎉…",
		"e\u0301e\u0301e\u0301": "e\u0301e\u0301e\u0301"} {
		if got := term.Clip(text, 7); got != want || term.Width(got) > 7 {
			t.Errorf("%q in 7 columns: got %q, %d columns, want %q", text, got, term.Width(got), want)
		}
	}
}

// At 80 columns the texts of a wide table break within their cells, and the last stand
// below their row; at 40 each row is a paragraph. No line is longer than the terminal, and nothing is lost.
func TestNarrowTerminals(t *testing.T) {
	t.Parallel()
	header := []string{"BATCH", "STATE", "CLIENT", "TOTAL", "DEFERRED", "DELIVERED", "SUBJECT", "WHY"}
	row := func() []string {
		return []string{"42", "retrying", "town.example", "1,200", "7", "1,193", "Lunch menu of the 市民 café",
			"the mail hosts of slow.example do not answer; next try in 5 min"}
	}
	for columns, want := range map[int]string{
		80: "BATCH  STATE     CLIENT        TOTAL  DEFERRED  DELIVERED  SUBJECT\n" +
			"   42  retrying  town.example  1,200         7      1,193  Lunch menu of the\n" +
			"                                                           市民 café\n" +
			"    WHY  the mail hosts of slow.example do not answer; next try in 5 min\n",
		40: "BATCH      42\nSTATE      retrying\nCLIENT     town.example\nTOTAL      1,200\nDEFERRED   7\nDELIVERED  1,193\nSUBJECT    Lunch menu of the 市民 café\n" +
			"WHY        the mail hosts of\n           slow.example do not answer;\n           next try in 5 min\n\nBATCH      42\n",
	} {
		got := onPage(false, func(p *term.Page) {
			p.Columns = columns
			p.Table(header, row(), row())
		})
		for _, line := range strings.Split(got, "\n") {
			if w := term.Width(line); w > columns {
				t.Errorf("%d columns: got a line of %d: %q", columns, w, line)
			}
		}
		if !strings.HasPrefix(got, want) {
			t.Errorf("%d columns: got\n%s\nwant it to begin\n%s", columns, got, want)
		}
		for _, word := range strings.Fields(strings.Join(row(), " ")) {
			if !strings.Contains(got, word) {
				t.Errorf("%d columns: got\n%s\nwant %q in it", columns, got, word)
			}
		}
	}
}

// A sentence is wrapped at the width of the terminal, behind a head too, and elsewhere is one line.
func TestSayFitsTheTerminal(t *testing.T) {
	t.Parallel()
	for columns, want := range map[int]string{
		0: "nothing is kept of ann\\a, who is not known\nwhy  no message was ever sent to it\n",
		24: "nothing is kept of\nann\\a, who is not known\n" +
			"why  no message was ever\n     sent to it\n",
	} {
		got := onPage(false, func(p *term.Page) {
			p.Columns = columns
			p.Say("nothing is kept of %s, who is not known", "ann\a")
			p.Hang("why  ", 5, "no message was ever sent to it")
		})
		if got != want {
			t.Errorf("%d columns: got %q, want %q", columns, got, want)
		}
	}
}

// A terminal that obeys no codes, or that nobody names, gets none; COLUMNS goes
// before what the terminal says.
func TestDumbTerminals(t *testing.T) {
	t.Parallel()
	for kind, want := range map[string]bool{"": true, "dumb": true, "xterm-256color": false, "vt100": false} {
		env := func(name string) string { return map[string]string{"TERM": kind, "COLUMNS": "40"}[name] }
		if got := term.Dumb(env); got != want {
			t.Errorf("TERM=%s is dumb: got %v, want %v", kind, got, want)
		}
		if got := term.Columns(&bytes.Buffer{}, env); got != 40 {
			t.Errorf("COLUMNS=40: got %d columns", got)
		}
	}
	if got := term.Columns(&bytes.Buffer{}, func(string) string { return "" }); got != 0 {
		t.Errorf("no terminal: got %d columns, want 0 for as many as one likes", got)
	}
}
