package term_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"enotify/cmd/enotify/term"
)

var noon = time.Date(2030, 5, 1, 12, 0, 0, 0, time.UTC)

// onPage returns what is laid on a page at noon.
func onPage(colour bool, lay func(p *term.Page)) string {
	var b bytes.Buffer
	p := term.NewPage(&b, colour, noon)
	lay(p)
	if err := p.Flush(); err != nil {
		panic(err) // a buffer takes all
	}
	return b.String()
}

func TestTable(t *testing.T) {
	t.Parallel()
	lay := func(p *term.Page) {
		p.Table([]string{"CLIENT", "STATE", "N"}, []string{"bücher.test", "blocked", "1,000"},
			[]string{"a.test", "done", "7"})
	}
	want := "CLIENT       STATE        N\n" +
		"bücher.test  blocked  1,000\n" +
		"a.test       done         7\n"
	if diff := cmp.Diff(want, onPage(false, lay)); diff != "" {
		t.Errorf("plain (-want +got):\n%s", diff)
	}
	coloured := onPage(true, lay)
	if !strings.Contains(coloured, "\x1b[31mblocked\x1b[0m") {
		t.Errorf("coloured: got %q, want blocked in red", coloured)
	}
	for _, code := range []string{"\x1b[0m", "\x1b[1m", "\x1b[31m", "\x1b[32m"} {
		coloured = strings.ReplaceAll(coloured, code, "")
	}
	if diff := cmp.Diff(want, coloured); diff != "" {
		t.Errorf("colours move columns (-want +got):\n%s", diff)
	}
}

func TestColourOnlyOnTerminals(t *testing.T) {
	t.Parallel()
	if term.Colour(&bytes.Buffer{}, func(string) string { return "" }) {
		t.Error("colour in what is no terminal: got true, want false")
	}
}

func TestAgo(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		0: "(0 s ago)", -90 * time.Second: "(90 s ago)", 59*time.Minute + 59*time.Second: "(in 60 min)",
		3 * time.Hour:   "(in 3 h)",
		-72 * time.Hour: "(3 days ago)",
	} {
		if got := onPage(false, func(p *term.Page) { p.Line("%s", p.Ago(noon.Add(d))) }); !strings.HasSuffix(got,
			" "+want+"\n") {
			t.Errorf("%v: got %q, want it to end with %s", d, got, want)
		}
	}
}

func TestClip(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{"a\r\n b\tc": "a b c", "ääääää": "ääää…", "12345": "12345"} {
		if got := term.Clip(in, 5); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}
