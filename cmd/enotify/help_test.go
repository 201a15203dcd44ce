package main_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/spf13/cobra"

	enotify "enotify/cmd/enotify"
	"enotify/cmd/enotify/guide"
)

// Where a topic had the name of a command, help could show but one of them.
func TestNoTopicIsACommand(t *testing.T) {
	t.Parallel()
	for _, topic := range guide.Topics() {
		for _, cmd := range enotify.Root().Commands() {
			if cmd.Name() == topic.Name {
				t.Errorf("topic %s: there is a command of that name; give the page another", topic.Name)
			}
		}
	}
}

// What a person reads of each command in a terminal of 80 columns has no longer line. An
// example may be longer: it is copied.
func TestHelpFitsTheTerminal(t *testing.T) {
	t.Parallel()
	var look func(cmd *cobra.Command)
	look = func(cmd *cobra.Command) {
		args := append(strings.Fields(cmd.CommandPath())[1:], "--help")
		_, out := invoke(t.Context(), args, "COLUMNS", "80")
		before, after, _ := strings.Cut(out, "\nExamples:\n")
		if _, flags, ok := strings.Cut(after, "\nFlags:\n"); ok {
			before += "\n" + flags
		}
		for line := range strings.Lines(before) {
			if line = strings.TrimSuffix(line, "\n"); utf8.RuneCountInString(line) > 80 {
				t.Errorf("enotify %s: got a line of %d characters, want 80 at most: %s", strings.Join(args, " "),
					utf8.RuneCountInString(line), line)
			}
		}
		for _, sub := range cmd.Commands() {
			if sub.IsAvailableCommand() {
				look(sub)
			}
		}
	}
	look(enotify.Root())
}
