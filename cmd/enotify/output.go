package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"enotify/cmd/enotify/exit"
	"enotify/cmd/enotify/term"
)

// print writes a result to standard output: v as JSON, or what lay puts on a
// page for people.
func (a *app) print(v any, lay func(p *term.Page)) error {
	if a.output == "json" {
		return writeJSON(a.stdout, v)
	}
	p := term.NewPage(a.stdout, a.colour(a.stdout), time.Now())
	lay(p)
	return p.Flush()
}

func writeJSON(out io.Writer, v any) error {
	w := bufio.NewWriter(out)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return err
	}
	return w.Flush()
}

// say prints a line of result.
func (a *app) say(format string, args ...any) error {
	_, err := fmt.Fprintln(a.stdout, term.Sprintf(format, args...))
	return err
}

// hint prints a line for people that is no result.
func (a *app) hint(format string, args ...any) {
	fmt.Fprintln(a.stderr, term.Sprintf(format, args...))
}

// colour reports whether w may get colours.
func (a *app) colour(w io.Writer) bool { return term.Colour(w, a.getenv) }

// newScreen is for what goes on for a while. The log would tear a frame.
func (a *app) newScreen() *term.Screen {
	return term.NewScreen(a.stdout, a.colour(a.stdout), a.verbose)
}

// yesFlag adds --yes to a verb that destroys.
func yesFlag(cmd *cobra.Command) *bool {
	return cmd.Flags().Bool("yes", false, "do not ask for confirmation")
}

// confirm asks before something is destroyed. Where nobody can be asked, the
// verb needs --yes.
func (a *app) confirm(yes bool, format string, args ...any) error {
	if yes {
		return nil
	}
	question := fmt.Sprintf(format, args...)
	err := term.Confirm(a.stdin, a.stderr, question)
	if errors.Is(err, term.ErrNoTerminal) {
		return exit.Usagef("there is no terminal to ask %q; if you mean it, add --yes", question)
	}
	return err
}
