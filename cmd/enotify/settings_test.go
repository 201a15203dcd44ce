package main_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	enotify "enotify/cmd/enotify"
)

// Settings that are no flag's twin.
var otherSettings = map[string]bool{"ENOTIFY_SMARTHOST_PASSWORD": true, "ENOTIFY_TEST_DATABASE_URL": true}

var updateSettings = flag.Bool("update-settings", false, "write guide/settings.md")

const settingsMark = "<!-- note: from here on written by make settings -->\n"

// TestSettingsPage compares the page "Every setting" with the flags.
func TestSettingsPage(t *testing.T) {
	t.Parallel()
	const path = "guide/settings.md"
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, got, ok := strings.Cut(string(page), settingsMark)
	if !ok {
		t.Fatalf("%s: the mark %q is missing", path, settingsMark)
	}
	want := settingsList(enotify.Root())
	if *updateSettings {
		if err := os.WriteFile(path, []byte(head+settingsMark+want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s differs from the flags (-flags +page); write it with make settings:\n%s", path, diff)
	}
	for name := range otherSettings {
		if !strings.HasPrefix(name, "ENOTIFY_TEST") && !strings.Contains(head, name) {
			t.Errorf("%s does not name %s", path, name)
		}
	}
}

// settingsList is a section for the flags of all verbs, one for run, and one
// for each other verb that has flags.
func settingsList(root *cobra.Command) string {
	var text strings.Builder
	text.WriteString("\n## All verbs\n\n")
	root.PersistentFlags().VisitAll(func(f *pflag.Flag) { settingLine(&text, f) })
	run, _, _ := root.Find([]string{"run"})
	section(&text, run)
	visitVerbs(root, func(cmd *cobra.Command) {
		if cmd != run {
			section(&text, cmd)
		}
	})
	return text.String()
}

// section lists the flags of one verb.
func section(text *strings.Builder, cmd *cobra.Command) {
	own := 0
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if f.Name == "help" || cmd.Root().PersistentFlags().Lookup(f.Name) == f {
			return
		}
		if own++; own == 1 {
			fmt.Fprintf(text, "\n## %s\n\n", cmd.CommandPath())
		}
		settingLine(text, f)
	})
}

func visitVerbs(cmd *cobra.Command, visit func(*cobra.Command)) {
	if cmd.Name() == "completion" { // cobra's own
		return
	}
	visit(cmd)
	for _, sub := range cmd.Commands() {
		visitVerbs(sub, visit)
	}
}

func settingLine(text *strings.Builder, f *pflag.Flag) {
	name, usage := pflag.UnquoteUsage(f)
	if name != "" {
		name = " " + name
	}
	fmt.Fprintf(text, "- `--%s%s`, `%s`: %s", f.Name, name, twin(f), usage)
	if f.DefValue != "" && f.DefValue != "false" && f.DefValue != "[]" && f.DefValue != "0" {
		fmt.Fprintf(text, " (default %s)", f.DefValue)
	}
	text.WriteString("\n")
}

// twin is the environment variable that sets a flag.
func twin(f *pflag.Flag) string {
	return "ENOTIFY_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
}

// knownSettings are the names of all environment variables.
var knownSettings = sync.OnceValue(func() map[string]bool {
	known := map[string]bool{}
	for name := range otherSettings {
		known[name] = true
	}
	visitVerbs(enotify.Root(), func(cmd *cobra.Command) {
		cmd.Flags().VisitAll(func(f *pflag.Flag) { known[twin(f)] = true })
		cmd.PersistentFlags().VisitAll(func(f *pflag.Flag) { known[twin(f)] = true })
	})
	return known
})

// TestSettingsOfCompose checks that docker-compose.yml and the Dockerfile name
// no setting that there is not.
func TestSettingsOfCompose(t *testing.T) {
	t.Parallel()
	compose, err := os.ReadFile("../../docker-compose.yml")
	if err != nil {
		t.Fatal(err)
	}
	checkCompose(t, string(compose))
}
