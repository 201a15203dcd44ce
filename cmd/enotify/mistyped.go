package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"enotify/cmd/enotify/exit"
)

// otherWords are what other programs call our verbs.
var otherWords = map[string]string{
	"ls": "list", "status": "show", "info": "show", "view": "show", "get": "show", "describe": "show",
	"remove": "rm", "delete": "rm", "del": "rm", "new": "create", "make": "create", "register": "add",
	"stop": "pause", "hold": "pause", "start": "resume", "continue": "resume", "unpause": "resume", "abort": "cancel",
	"check": "doctor", "upgrade": "migrate", "serve": "run", "ping": "health",
}

// nearest is the candidate that was probably meant; "" when none is like what was typed.
func nearest(typed string, candidates []string) string {
	typed = strings.ToLower(typed)
	if other, ok := otherWords[typed]; ok && slices.Contains(candidates, other) {
		return other
	}
	const shortest = 3 // of a beginning that names the rest
	best, least := "", max(1, len(typed)/3)+1
	for _, c := range candidates {
		d := distance(typed, c)
		if len(typed) >= shortest && (strings.HasPrefix(c, typed) || strings.HasPrefix(typed, c)) {
			d = min(d, 1)
		}
		if d < least {
			best, least = c, d
		}
	}
	return best
}

// distance counts the letters to insert, remove or replace to turn a into b
// (Levenshtein); two that changed places count once.
func distance(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		for j := range rows[i] {
			switch {
			case i == 0 || j == 0:
				rows[i][j] = i + j
			case a[i-1] == b[j-1]:
				rows[i][j] = rows[i-1][j-1]
			default:
				rows[i][j] = 1 + min(rows[i-1][j], rows[i][j-1], rows[i-1][j-1])
				if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
					rows[i][j] = min(rows[i][j], 1+rows[i-2][j-2])
				}
			}
		}
	}
	return rows[len(a)][len(b)]
}

// verbOf is a command without the name of the program, as "batch create".
func verbOf(cmd *cobra.Command) string {
	return strings.TrimPrefix(strings.TrimPrefix(cmd.CommandPath(), cmd.Root().Name()), " ")
}

// flagMistake says what is wrong with a flag, in place of pflag and of the
// packages that read the value.
func flagMistake(cmd *cobra.Command, err error) error {
	if given := cmd.Flags().Args(); len(given) > 0 && cmd == cmd.Root() {
		return noCommand(cmd, given[0]) // its flags cannot be known
	}
	var unknown *pflag.NotExistError
	var missing *pflag.ValueRequiredError
	var invalid *pflag.InvalidValueError
	switch {
	case errors.As(err, &unknown):
		return unknownFlag(cmd, unknown)
	case errors.As(err, &missing):
		f := missing.GetFlag()
		value, _ := pflag.UnquoteUsage(f)
		return exit.Usagef("--%s needs a value: --%[1]s %s; see %s --help", f.Name, value, cmd.CommandPath())
	case errors.As(err, &invalid):
		return exit.Usagef("%w; see %s --help", badValue("--"+invalid.GetFlag().Name+" "+invalid.GetValue(), invalid),
			cmd.CommandPath())
	}
	return exit.Usagef("%w; see %s --help", err, cmd.CommandPath())
}

func unknownFlag(cmd *cobra.Command, unknown *pflag.NotExistError) error {
	typed, shown := unknown.GetSpecifiedName(), "--"+unknown.GetSpecifiedName()
	if letters := unknown.GetSpecifiedShortnames(); letters != "" { // -recipients is read as -r -e -c …
		typed, shown = letters, "-"+letters
	}
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			names = append(names, f.Name)
		}
	})
	where := ""
	if cmd != cmd.Root() {
		where = " for " + verbOf(cmd)
	}
	guess := ""
	if meant := nearest(typed, names); meant != "" && len(typed) > 1 {
		guess = "; did you mean --" + meant + "?"
	}
	return exit.Usagef("unknown flag %s%s%s See %s --help", shown, where, sentence(guess), cmd.CommandPath())
}

// sentence ends a guess, or the sentence before where there is none.
func sentence(guess string) string {
	if guess == "" {
		return "."
	}
	return guess
}

// badValue says in words what a flag or setting wants, by the type of its value.
func badValue(given string, invalid *pflag.InvalidValueError) error {
	wants := map[string]string{
		"int": "a whole number", "int64": "a whole number", "float64": "a number", "bool": "true or false",
		"duration": "a time such as 30s, 5m or 2h", "stringSlice": "values separated by commas",
	}
	if want, ok := wants[invalid.GetFlag().Value.Type()]; ok {
		return fmt.Errorf("%s: want %s", given, want)
	}
	return fmt.Errorf("%s: %w", given, errors.Unwrap(invalid))
}

// noVerb says that a noun has no such verb, and which one may have been meant.
func noVerb(cmd *cobra.Command, typed string, verbs []string) error {
	if meant := nearest(typed, verbs); meant != "" {
		return exit.Usagef("%s has no verb %q; did you mean %s? See %s --help", verbOf(cmd), typed, meant,
			cmd.CommandPath())
	}
	return exit.Usagef("%s has no verb %q: %s", verbOf(cmd), typed, strings.Join(verbs, ", "))
}

// noCommand says that the program has no such command. A verb of one noun alone
// is named with its noun.
func noCommand(root *cobra.Command, typed string) error {
	var names, nouns []string
	for _, cmd := range root.Commands() {
		if !cmd.IsAvailableCommand() {
			continue
		}
		names = append(names, cmd.Name())
		for _, verb := range cmd.Commands() {
			if verb.Name() == typed {
				nouns = append(nouns, cmd.Name()+" "+typed)
			}
		}
	}
	guess := ""
	if len(nouns) > 0 {
		guess = "; did you mean " + strings.Join(nouns, " or ") + "?"
	} else if meant := nearest(typed, names); meant != "" {
		guess = "; did you mean " + meant + "?"
	}
	return exit.Usagef("unknown command %q%s See %s --help", typed, sentence(guess), root.CommandPath())
}
