package preflight

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"enotify/cmd/enotify/figures"
)

// JSON writes the report for programs.
func (r *Report) JSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}

// Encode returns the report as JSON in one line, to be kept.
func (r *Report) Encode() ([]byte, error) { return json.Marshal(r) }

// Decode reads a report that was kept.
func Decode(text []byte) (*Report, error) {
	r := new(Report)
	if err := json.Unmarshal(text, r); err != nil {
		return nil, fmt.Errorf("a report that was kept: %w", err)
	}
	return r, nil
}

// marks tell severities apart without colour.
var marks = map[Severity]string{Block: "BLOCK", Warn: "WARN", NotChecked: "NOT CHECKED", Info: "INFO", Pass: "PASS"}

// tones are colours of the terminal, beside the marks.
var tones = map[Severity]string{Block: "31;1", Warn: "33;1", NotChecked: "35;1", Info: "36", Pass: "32"}

// Text writes the report for a terminal, what matters most first, and the
// summary in the last line.
func (r *Report) Text(w io.Writer, colour bool) error {
	t := &textPage{colour: colour}
	t.line("Preflight of %s, %s", r.what(), r.At.Format("2006-01-02 15:04 MST"))
	for _, s := range severities {
		if s == Pass || s == Info {
			t.short(r.Of(s), s)
			continue
		}
		for _, f := range r.Of(s) {
			t.finding(f)
		}
	}
	t.setup(r.Setup)
	t.sites(r.Sites)
	t.line("")
	t.line("%s", t.paint(r.Line(), map[Verdict]Severity{Ready: Pass, Doubts: Warn, Blocked: Block}[r.Summary.Verdict]))
	_, err := io.WriteString(w, t.String())
	return err
}

func (r *Report) what() string {
	switch {
	case r.Kind == kindClient:
		return "client " + r.Subject.Client
	case r.Subject.Batch != 0:
		return fmt.Sprintf("batch %d (%s) from %s", r.Subject.Batch, r.Subject.State, r.Subject.From)
	default:
		return "a message from " + r.Subject.From
	}
}

type textPage struct {
	strings.Builder
	colour bool
}

// painted text is ours; all other text may come from strangers, and must not
// control the terminal.
type painted string

func (t *textPage) line(format string, args ...any) {
	for i, arg := range args {
		if s, ok := arg.(string); ok {
			args[i] = visible(s)
		}
	}
	t.WriteString(strings.TrimRight(fmt.Sprintf(format, args...), " ") + "\n")
}

// visible shows what cannot be seen as Go would write it.
func visible(s string) string {
	q := strconv.Quote(s)
	return strings.NewReplacer(`\"`, `"`, `\\`, `\`).Replace(q[1 : len(q)-1])
}

func (t *textPage) paint(text string, s Severity) painted {
	text = visible(text)
	if !t.colour {
		return painted(text)
	}
	return painted("\x1b[" + tones[s] + "m" + text + "\x1b[0m")
}

const textWidth = 100

// finding shows all there is to a row.
func (t *textPage) finding(f Finding) {
	t.line("")
	t.line("%s  %s  %s", t.paint(marks[f.Severity], f.Severity), f.Title, painted("["+f.ID+"]"))
	t.wrap("  ", f.Found)
	for _, e := range f.Evidence {
		t.line("    %s", e)
	}
	for i, r := range f.Rejects {
		t.line("  %-13s%s: %s", map[bool]string{true: "refused by"}[i == 0], r.Who, r.Reply)
	}
	if f.Advice != "" {
		t.wrap("  ", f.Advice)
	}
	for i, line := range f.Fix {
		t.line("  %-13s%s", map[bool]string{true: "publish"}[i == 0], line)
	}
	if f.Recheck != "" {
		t.line("  %-13s%s", "check again", f.Recheck)
	}
}

// short shows a line for each of the rows in which there is nothing to do.
func (t *textPage) short(fs []Finding, s Severity) {
	if len(fs) > 0 {
		t.line("")
	}
	for _, f := range fs {
		t.line("%s  %-15s %s", t.paint(fmt.Sprintf("%-5s", marks[s]), s), f.ID, f.Found)
	}
}

func (t *textPage) setup(lines []Line) {
	if len(lines) == 0 {
		return
	}
	t.line("")
	t.line("What to publish")
	for _, l := range lines {
		t.line("  %-8s %s", l.State, l.For)
		t.line("           %s", l.Zone)
	}
}

func (t *textPage) sites(sites []Site) {
	if len(sites) == 0 {
		return
	}
	t.line("")
	t.line("%-28s %12s %9s %12s  %s", "SITE", "RECIPIENTS", "DOMAINS", "DONE AFTER", "HELD BACK BY")
	shown := sites[:min(len(sites), 10)]
	for _, s := range shown {
		t.line("%-28s %12s %9s %12s  %s", s.Name, figures.Count(s.Recipients), figures.Count(s.Domains), span(time.Duration(s.Seconds)*time.Second), s.Limit)
	}
	if rest := sites[len(shown):]; len(rest) > 0 {
		n, last := 0, 0
		for _, s := range rest {
			n, last = n+s.Recipients, max(last, s.Seconds)
		}
		t.line("%-28s %12s %9s %12s", "and "+figures.Some(len(rest), "more site"), figures.Count(n), "", span(time.Duration(last)*time.Second))
	}
}

// wrap breaks text at words.
func (t *textPage) wrap(indent, text string) {
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && len(indent)+len(line)+1+len(word) > textWidth {
			t.line("%s%s", indent, line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	if line != "" {
		t.line("%s%s", indent, line)
	}
}
