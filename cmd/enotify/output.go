package main

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"enotify/cmd/enotify/exit"
	"enotify/cmd/enotify/term"
	"enotify/queue"
)

// print writes a result to standard output: v as JSON, or what lay puts on a
// page for people.
func (a *app) print(v any, lay func(p *term.Page)) error {
	if a.output == "json" {
		return term.WriteJSON(a.stdout, v)
	}
	p := a.page()
	lay(p)
	return p.Flush()
}

// page is a page on standard output, as wide as the terminal is.
func (a *app) page() *term.Page {
	p := term.NewPage(a.stdout, a.colour(a.stdout), time.Now())
	p.Columns = term.Columns(a.stdout, a.getenv)
	return p
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

// newScreen is for output that is redrawn. Log lines would tear a frame.
func (a *app) newScreen() *term.Screen {
	return term.NewScreen(a.stdout, a.colour(a.stdout), a.verbose || term.Dumb(a.getenv))
}

// progress is a line on a terminal that names the current step.
func (a *app) progress() *term.Progress {
	if term.Dumb(a.getenv) {
		return &term.Progress{}
	}
	return term.NewProgress(a.stderr)
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

// next is the command, or the flag, to go on with after an error of the queue;
// "" when the error has none.
func next(err error) string {
	p := (*queue.Problem)(nil)
	if !errors.As(err, &p) {
		return ""
	}
	switch {
	case errors.Is(p.Err, queue.ErrUnfinished):
		return "cancel them first: enotify batch list --client " + p.Name
	case errors.Is(p.Err, queue.ErrRecorded):
		return "the record of what was sent goes with them: if you mean that, add --with-batches"
	case errors.Is(p.Err, queue.ErrExists) && p.Noun == queue.NounClient:
		return "see enotify client show " + p.Name
	case errors.Is(p.Err, queue.ErrExists) && p.Noun == queue.NounEgress:
		return "change it: enotify egress set " + p.Name
	case errors.Is(p.Err, queue.ErrExists) && p.Noun == queue.NounSuppression:
		return "see enotify suppression list --match " + p.Name
	case errors.Is(p.Err, queue.ErrNotUrgent):
		return "give the clients another pool: enotify client set DOMAIN --pool NAME"
	case errors.Is(p.Err, queue.ErrOperator):
		return "make one for a client: enotify client add DOMAIN --role LOGIN"
	case errors.Is(p.Err, queue.ErrNotApp):
		return "let it send for a client: enotify client add DOMAIN --role " + p.Name
	case !errors.Is(p.Err, queue.ErrNotFound):
		return ""
	case p.Elsewhere != nil && *p.Elsewhere == "":
		return "leave --client out"
	case p.Elsewhere != nil:
		return "add --client " + *p.Elsewhere
	}
	switch p.Noun {
	case queue.NounBatch:
		return "enotify batch list --all shows all batches"
	case queue.NounClient:
		return "register it: enotify client add " + p.Name
	case queue.NounEgress:
		return "enotify egress list shows all addresses; enotify egress add " + p.Name + " registers one"
	case queue.NounSuppression:
		return "see enotify suppression explain " + p.Name
	case queue.NounPool:
		return "put an address into it: enotify egress add ADDRESS --pool " + p.Name
	case queue.NounWarmup:
		return "see enotify egress show " + p.Name
	case queue.NounLogin:
		return fmt.Sprintf("create it first: CREATE ROLE %s LOGIN PASSWORD '…'", pgx.Identifier{p.Name}.Sanitize())
	case queue.NounLimits:
		return "enotify destination list shows what is set"
	case queue.NounLearned:
		return "enotify destination list shows the sites something was learned of"
	case queue.NounWebhook:
		return "enotify webhook list shows all webhooks"
	case queue.NounToken:
		return "enotify token list shows all tokens"
	case queue.NounRetention:
		return "enotify retention list shows the kinds"
	case queue.NounTokenKey:
		return "enotify bounce key list shows the keys"
	}
	return ""
}
