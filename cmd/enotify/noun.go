package main

import (
	"fmt"
	"strings"

	"enotify/cmd/enotify/exit"

	"github.com/spf13/cobra"
)

// noun groups the verbs of one noun. By itself it does nothing, and says so:
// cobra would print its help and call that a success.
func noun(name, short string, verbs ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use: name + " VERB", Short: short, DisableFlagsInUseLine: true,
		FParseErrWhitelist: cobra.FParseErrWhitelist{UnknownFlags: true}, // the verb is what is wrong
		RunE: func(cmd *cobra.Command, args []string) error {
			var names []string
			for _, verb := range verbs {
				names = append(names, verb.Name())
			}
			if len(args) == 0 {
				return exit.Usagef("%s needs a verb: %s", name, strings.Join(names, ", "))
			}
			return exit.Usagef("%s has no verb %q: %s", name, args[0], strings.Join(names, ", "))
		},
	}
	cmd.AddCommand(verbs...)
	return cmd
}

// one is the argument check of a verb that takes one thing, such as "a domain".
func one(thing string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch len(args) {
		case 0:
			return fmt.Errorf("%s needs %s: %s", cmd.CommandPath(), thing, cmd.UseLine())
		case 1:
			return nil
		}
		return fmt.Errorf("%s takes %s and nothing else, but got %q too", cmd.CommandPath(), thing, args[1])
	}
}
