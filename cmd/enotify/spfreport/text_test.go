package spfreport_test

import (
	"strings"
	"testing"
	"time"

	"enotify/cmd/enotify/spfreport"
	"enotify/cmd/enotify/term"
	"enotify/spfguard"
)

// A finding has the colour of its severity, and what strangers publish has none.
func TestColour(t *testing.T) {
	t.Parallel()
	r := spfreport.New("town.example", "")
	r.Findings = []spfguard.Finding{{Severity: spfguard.Error, Rule: "syntax", Pos: 7, Message: "\x1b[2J",
		Remedy: "mend it"}}
	for colour, want := range map[bool]string{
		true:  "Findings\n  \x1b[31merror  \x1b[0m  \\x1b[2J\n           mend it\n",
		false: "Findings\n  error    \\x1b[2J\n           mend it\n",
	} {
		var got strings.Builder
		p := &spfreport.Printer{Page: term.NewPage(&got, colour, time.Now())}
		r.ListFindings(p)
		if err := p.Flush(); err != nil {
			t.Fatal(err)
		}
		if got.String() != want {
			t.Errorf("colour %v: got %q, want %q", colour, got.String(), want)
		}
	}
}
