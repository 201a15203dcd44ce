package render

import (
	"slices"
	"strconv"
	"strings"

	"enotify/cmd/enotify/cure"
	"enotify/cmd/enotify/page"
	"enotify/cmd/enotify/preflight"
)

// tags are the severities on a page, where there is room for a word.
var tags = map[preflight.Severity]string{
	preflight.Block: "Blocks", preflight.Warn: "Warning", preflight.NotChecked: "Not checked",
	preflight.Info: "For information", preflight.Pass: "In order",
}

// A cause is what one card shows: a finding, and those that the same lines cure.
type cause struct {
	preflight.Finding
	Also []preflight.Finding
}

// causes are the findings of a severity, with those of lower ones that the same lines
// cure. A finding that belongs to the cause of a higher severity is not repeated.
func causes(r *preflight.Report, s preflight.Severity) []cause {
	var list []cause
	for _, f := range r.Findings {
		if f.Severity != preflight.Block && f.Severity != preflight.Warn && f.Severity != preflight.NotChecked ||
			owner(r, f) != f.ID || f.Severity != s {
			continue
		}
		c := cause{Finding: f}
		for _, other := range r.Findings {
			if other.ID == f.ID || owner(r, other) != f.ID {
				continue
			}
			c.Also = append(c.Also, other)
			for _, reject := range other.Rejects {
				if !slices.Contains(c.Rejects, reject) {
					c.Rejects = append(slices.Clip(c.Rejects), reject)
				}
			}
			for _, seen := range other.Evidence {
				if !slices.Contains(c.Evidence, seen) {
					c.Evidence = append(slices.Clip(c.Evidence), seen)
				}
			}
		}
		list = append(list, c)
	}
	for i := range list {
		if r.Kind == preflight.OfClient {
			list[i] = forClients(r, list[i])
		}
	}
	return list
}

// owner is the row whose card shows a finding: the gravest of those that the same
// lines cure, and of several the first.
func owner(r *preflight.Report, f preflight.Finding) string {
	if len(f.Fix) == 0 || rank(f) < 0 {
		return f.ID
	}
	first := f
	for _, other := range r.Findings {
		if slices.Equal(other.Fix, f.Fix) && rank(other) >= 0 && rank(other) < rank(first) {
			first = other
		}
	}
	if i := slices.IndexFunc(r.Findings, func(o preflight.Finding) bool {
		return slices.Equal(o.Fix, f.Fix) && rank(o) == rank(first)
	}); i >= 0 {
		return r.Findings[i].ID
	}
	return f.ID
}

// rank orders what gets a card, the gravest first; -1 gets none.
func rank(f preflight.Finding) int {
	return slices.Index([]preflight.Severity{preflight.Block, preflight.Warn, preflight.NotChecked}, f.Severity)
}

// each has a card, or rather a row, of its own.
func each(r *preflight.Report, found []preflight.Finding) []cause {
	var list []cause
	for _, f := range found {
		c := cause{Finding: f}
		if r.Kind == preflight.OfClient {
			c = forClients(r, c)
		}
		list = append(list, c)
	}
	return list
}

// forClients is a cause for a person who has no enotify: without commands, and without
// lines that the page shows among what to publish.
func forClients(r *preflight.Report, c cause) cause {
	c.Recheck = ""
	c.Found, c.Advice, c.Effect = page.ForClients(c.Found), page.ForClients(c.Advice), page.ForClients(c.Effect)
	if c.Effect == advice {
		c.Effect = ""
	}
	c.Also = slices.Clone(c.Also)
	for i := range c.Also {
		c.Also[i].Found = page.ForClients(c.Also[i].Found)
	}
	listed := func(line string) bool {
		return slices.ContainsFunc(r.Setup, func(l preflight.Line) bool { return l.Zone == line })
	}
	if len(c.Fix) > 0 && !slices.ContainsFunc(c.Fix, func(line string) bool { return !listed(line) }) {
		c.Fix = nil
		c.Advice = strings.Replace(strings.Replace(c.Advice, "Publish this line", "Publish the record above", 1),
			"These lines", "The records above", 1)
	}
	return c
}

// advice is the effect of a finding that stops nothing, which the client need not know.
const advice = "advice: we send all the same"

// A record is a line to publish, as the web panel of a DNS provider asks for it.
type record struct {
	preflight.Line
	Host     string // within the zone: @ is the domain itself
	Priority string // of MX
	Text     string // in one piece, without the quotes of a zone file
}

// Right: there is nothing to do.
func (r record) Right() bool { return r.State == "right" }

func records(lines []preflight.Line) []record {
	var list []record
	for _, l := range lines {
		r := record{Line: l, Host: l.Name, Text: l.Value}
		if parsed, err := cure.Parse(l.Zone); err == nil {
			r.Host, r.Text = parsed.Host(), parsed.Value
			if parsed.Type == "MX" {
				r.Priority = strconv.Itoa(parsed.Priority)
			}
		}
		list = append(list, r)
	}
	return list
}
