package main_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"enotify/cmd/enotify/guide"
)

// TestReadme runs every command of the README in a world of its own: a database
// server, on which the operator is no superuser, a DNS and receivers on loopback.
// guide/development.md says how a page marks its code. TestGuidePages does the same for
// the guide, in make check.
func TestReadme(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	runPage(t, plain(t), string(readme))
}

func runPage(t *testing.T, program, page string) {
	blocks := guide.Parse(page)
	w := newWorld(t, program, blocks)
	for _, b := range blocks {
		switch {
		case t.Failed():
			return
		case b.Kind == guide.Comment:
			w.direct(b)
		case b.Kind == guide.Code:
			w.code(b)
		}
	}
}

// A line that a comment of a page begins with.
var directive = regexp.MustCompile(`^(setup|draft|dns|reply|sh|node|stop|kill|received|once|note)\b:?\s*`)

// direct does what a comment of the page asks of the world around the reader.
func (w *world) direct(b guide.Block) {
	match := directive.FindString(b.Text)
	text := strings.TrimPrefix(b.Text, match)
	switch strings.TrimRight(match, ": \n") {
	case "setup":
		w.shell(b, setupScript, 0)
	case "draft":
		w.shell(b, draftScript, 0)
	case "dns": // records that appear, in the format of a zone file
		if err := w.dns.Put(text); err != nil {
			w.Errorf("line %d: %v", b.Line, err)
		}
	case "reply": // DOMAIN-OR-ADDRESS VERB REPLY: what receivers say from now on; no REPLY: as usual again
		words := append(strings.SplitN(text, " ", 3), "")
		w.receivers.Answer(words[0], words[1], words[2])
	case "sh": // commands that the reader is not shown
		w.shell(b, text, 0)
	case "node": // a node that runs beside, with these arguments
		w.background(b, "exec enotify run "+text)
	case "stop":
		w.end(syscall.SIGTERM)
	case "kill":
		w.end(syscall.SIGKILL)
	case "received": // how many messages the receivers have had
		if got, want := w.receivers.Count(), text; fmt.Sprint(got) != want {
			w.Errorf("line %d: messages received: got %d, want %s", b.Line, got, want)
		}
	case "once": // nobody has had two messages
		if got := w.receivers.Twice(); len(got) > 0 {
			w.Errorf("line %d: received more than one message: got %q, want none", b.Line, got)
		}
	case "note":
	default:
		w.Errorf("line %d: the comment %q is none that the test knows; write <!-- note … --> for one to keep", b.Line,
			b.Text)
	}
}

// code runs or checks a block of code, as its info string says.
func (w *world) code(b guide.Block) {
	language, how, _ := strings.Cut(b.Info, " ")
	switch {
	case language == "sh" && how == "checked":
		w.checkCommands(b)
	case language == "sh" && how == "background":
		w.background(b, b.Text)
	case language == "sh" && strings.HasPrefix(how, "exits="):
		status, err := strconv.Atoi(strings.TrimPrefix(how, "exits="))
		if err != nil {
			w.Errorf("line %d: %v", b.Line, err)
		}
		w.shell(b, b.Text, status)
	case language == "sh" && how == "":
		w.shell(b, b.Text, 0)
	case language == "sql":
		w.sql(b, how)
	case language == "text" && how == "output":
		w.checkOutput(b)
	case language == "text" && how == "":
	case language == "ini":
		w.checkUnit(b)
	case language == "json":
		if !json.Valid([]byte(b.Text)) {
			w.Errorf("line %d: this is not JSON", b.Line)
		}
	case language == "yaml":
		checkCompose(w.T, b.Text)
	case (language == "csv" || language == "txt" || language == "html") && how != "":
		if err := os.WriteFile(filepath.Join(w.dir, how), []byte(b.Text+"\n"), 0o644); err != nil {
			w.Error(err)
		}
	default:
		w.Errorf("line %d: a code block marked %q is none that the test knows", b.Line, b.Info)
	}
}

// checkOutput compares what the last command printed with what the page shows:
// its lines, in this order, perhaps with others between; … stands for any text.
func (w *world) checkOutput(b guide.Block) {
	rest := w.output
	for line := range strings.Lines(b.Text) {
		var parts []string
		for part := range strings.SplitSeq(strings.Join(strings.Fields(line), " "), "…") {
			parts = append(parts, regexp.QuoteMeta(part))
		}
		pattern := regexp.MustCompile(`(?m)^` + strings.Join(parts, ".*") + `$`)
		at := pattern.FindStringIndex(rest)
		if at == nil {
			w.Errorf("line %d: the output has no line %q where the page shows it; got\n%s", b.Line,
				strings.TrimSpace(line), w.output)
			return
		}
		rest = rest[at[1]:]
	}
}

// checkCommands looks at commands that cannot be run here: each must be one
// that enotify, or the Makefile, has, with flags that it knows.
func (w *world) checkCommands(b guide.Block) {
	text := strings.ReplaceAll(b.Text, "\\\n", " ")
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, " # ")
		words := strings.Fields(line)
		switch {
		case len(words) == 0:
		case words[0] == "enotify":
			w.checkArguments(b, words[1:])
		case strings.HasPrefix(line, "docker compose run"): // of the service ops
			w.checkArguments(b, words[slices.Index(words, "ops")+1:])
		case words[0] == "make":
			w.checkTarget(b, words[1])
		}
	}
}

func (w *world) checkArguments(b guide.Block, args []string) {
	for i, arg := range args {
		if arg == "|" || arg == ">" || arg == "&&" {
			args = args[:i]
			break
		}
	}
	var path []string
	for _, arg := range args {
		if !regexp.MustCompile(`^[a-z]+$`).MatchString(arg) {
			break
		}
		path = append(path, arg)
	}
	quoted := "'" + strings.Join(args, "' '") + "'"
	w.shell(b, "enotify "+quoted+" --help", 0)
	if want := "enotify " + strings.Join(path, " "); !strings.Contains(w.output, want) {
		w.Errorf("line %d: enotify %s: the help is not that of %s; got\n%s", b.Line, strings.Join(args, " "), want,
			w.output)
	}
}

func (w *world) checkTarget(b guide.Block, target string) {
	makefile, err := os.ReadFile("../../Makefile")
	if err != nil {
		w.Fatal(err)
	}
	if !strings.Contains("\n"+string(makefile), "\n"+target+":") {
		w.Errorf("line %d: make %s: the Makefile has no such target", b.Line, target)
	}
}

// checkUnit looks at a systemd unit: the commands that it starts.
func (w *world) checkUnit(b guide.Block) {
	text := strings.ReplaceAll(b.Text, "\\\n", " ")
	found := false
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(line, "=")
		if !strings.HasPrefix(key, "Exec") {
			continue
		}
		found = true
		words := strings.Fields(value)
		if filepath.Base(words[0]) != "enotify" {
			w.Errorf("line %d: %s starts %s, which the test does not know", b.Line, key, words[0])
			continue
		}
		w.checkArguments(b, words[1:])
	}
	if strings.Contains(text, "[Service]") && !found {
		w.Errorf("line %d: a service without ExecStart", b.Line)
	}
	for line := range strings.Lines(text) { // the environment twins of flags
		if name, _, ok := strings.Cut(line, "="); ok && strings.HasPrefix(name, "ENOTIFY_") && !knownSettings()[name] {
			w.Errorf("line %d: no setting is named %s", b.Line, name)
		}
	}
}

// run runs script with bash, in the environment that the blocks before it left
// behind, and keeps what it printed. The status is what the page says it exits with.
func (w *world) shell(b guide.Block, script string, status int) {
	ctx, cancel := context.WithTimeout(w.Context(), pageTimeout)
	defer cancel()
	var output strings.Builder
	cmd := w.command(ctx, script)
	cmd.Stdout, cmd.Stderr = &output, &output
	err := cmd.Run()
	w.output = trimLines(output.String())
	if got := cmd.ProcessState.ExitCode(); got != status {
		w.Errorf("line %d: got exit status %d (%v), want %d:\n%s\n%s", b.Line, got, err, status, script, w.output)
	} else if testing.Verbose() {
		w.Logf("line %d: %s\n%s", b.Line, script, w.output)
	}
}

// trimLines makes runs of blanks one, so that a page need not count them.
func trimLines(text string) string {
	var lines []string
	for line := range strings.Lines(text) {
		lines = append(lines, strings.Join(strings.Fields(line), " "))
	}
	return strings.Join(lines, "\n")
}
