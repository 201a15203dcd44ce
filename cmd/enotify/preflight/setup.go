package preflight

import (
	"slices"
	"strings"
)

// setupRows are the findings that ask a client to publish something, with
// what it does, for the person who edits the zone.
var setupRows = []struct{ id, purpose string }{
	{"spf.pass", "Lets our servers send in your name (SPF)"},
	{"dkim.key", "Holds the key that proves your signature (DKIM)"},
	{"dmarc.record", "Tells receivers what to do with forgeries, and whom to report to (DMARC)"},
	{"mx.return", "Takes back what could not be delivered (MX)"},
	{"hdr.from", "Takes the answers to your mail (MX)"},
}

// setup lists what the client should publish, line by line, and what of it is
// right already. It is read off the findings.
func setup(r *Report) []Line {
	var lines []Line
	for _, s := range setupRows {
		f := r.Row(s.id)
		switch {
		case f.Severity == Pass && len(f.Evidence) > 0 && strings.Contains(f.Evidence[0], " IN "):
			lines = append(lines, newLine(s.purpose, f.Evidence[0], "right", ""))
		case len(f.Fix) == 0:
		default:
			state, found := "missing", ""
			if i := slices.IndexFunc(f.Evidence, func(e string) bool { return strings.Contains(e, ". IN ") }); i >= 0 {
				state, found = "wrong", f.Evidence[i]
			}
			for _, fix := range f.Fix {
				lines = append(lines, newLine(s.purpose, fix, state, found))
			}
		}
	}
	return lines
}

func newLine(purpose, zone, state, found string) Line {
	l := Line{For: purpose, Zone: zone, State: state, Found: found}
	name, rest, _ := strings.Cut(zone, " IN ")
	l.Name = strings.TrimSuffix(name, ".")
	l.Type, l.Value, _ = strings.Cut(rest, " ")
	return l
}
