package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"enotify/cmd/enotify/exit"
	"enotify/cmd/enotify/guide"
	"enotify/cmd/enotify/term"
)

// helpCmd is the verb help. It replaces cobra's, and shows a command's help as
// that does; what names no command names a page of the guide.
func (a *app) helpCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND | TOPIC]",
		Short: "Help about a command, or a page of the guide",
		Long: `Shows the help of a command, or a page of the guide. Without an argument it
lists both.`,
		Example: "  enotify help batch create\n  enotify help first-campaign",
		// Help needs no settings: a mistake in the environment must not keep anybody from reading it.
		PersistentPreRun: func(*cobra.Command, []string) { a.begun = true },
		ValidArgsFunction: func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			return completeHelp(cmd.Root(), args), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error { return a.help(cmd.Root(), args) },
	}
}

// init adds to the template functions of cobra, which are the program's and not
// a command's.
func init() {
	cobra.AddTemplateFunc("switches", func(usages string) string {
		const value = "[=true|false]"
		return strings.ReplaceAll(usages, value, strings.Repeat(" ", len(value)))
	})
}

// plainFlags has the help of root and its verbs write switches as --yes, where pflag
// writes --yes[=true|false], and wrap what it says of flags at a width of columns; at 0
// it wraps nothing.
func plainFlags(root *cobra.Command, columns int) {
	root.SetUsageTemplate(strings.ReplaceAll(root.UsageTemplate(), ".FlagUsages ",
		fmt.Sprintf(".FlagUsagesWrapped %d | switches ", columns)))
}

func (a *app) help(root *cobra.Command, args []string) error {
	if len(args) == 0 {
		if err := root.Help(); err != nil {
			return err
		}
		_, err := fmt.Fprintf(a.stdout, "\nGuide (enotify help TOPIC):\n%s", topicList())
		return err
	}
	cmd, rest, err := root.Find(args)
	if err == nil && cmd != root && len(rest) == 0 {
		cmd.InitDefaultHelpFlag() // so that the help lists it
		return cmd.Help()
	}
	if page, ok := guide.Page(args[0]); ok && len(args) == 1 {
		return guide.Render(a.stdout, page, a.colour(a.stdout), term.Columns(a.stdout, a.getenv))
	}
	return exit.Usagef("%s is neither a command nor a topic of the guide; enotify help lists them",
		strings.Join(args, " "))
}

func topicList() string {
	var list strings.Builder
	for _, topic := range guide.Topics() {
		fmt.Fprintf(&list, "  %-18s %s\n", topic.Name, topic.Title)
	}
	return list.String()
}

// completeHelp names what may follow help and args: the commands below the one
// that args name, and as the first argument the topics.
func completeHelp(root *cobra.Command, args []string) []string {
	cmd, rest, err := root.Find(args)
	if err != nil || len(rest) > 0 {
		return nil
	}
	var names []string
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() {
			names = append(names, sub.Name()+"\t"+sub.Short)
		}
	}
	if len(args) == 0 {
		for _, topic := range guide.Topics() {
			names = append(names, topic.Name+"\t"+topic.Title)
		}
	}
	return names
}
