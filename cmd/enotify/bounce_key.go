package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"enotify/cmd/enotify/figures"
	"enotify/cmd/enotify/term"
	"enotify/queue"
)

func (a *app) bounceKeyCmd() *cobra.Command {
	return noun("key", "Keys that sign return paths and unsubscribe addresses", a.bounceKeyListCmd(),
		a.bounceKeyRotateCmd(), a.bounceKeyRetireCmd())
}

func (a *app) bounceKeyListCmd() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the keys, newest first, without their secrets", Args: atMost(0),
		RunE: a.onQueue(func(ctx context.Context, db *queue.DB, _ []string) error {
			keys, err := db.TokenKeyStates(ctx)
			if err != nil {
				return err
			}
			if keys == nil {
				keys = []queue.KeyState{}
			}
			return a.print(keys, func(p *term.Page) { layKeys(p, keys) })
		}),
	}
}

func layKeys(p *term.Page, keys []queue.KeyState) {
	if len(keys) == 0 {
		p.Line("no key; the first enotify run makes one")
		return
	}
	moment := func(t *time.Time) string {
		if t == nil {
			return "-"
		}
		return p.Ago(*t)
	}
	var rows [][]string
	for _, k := range keys {
		does := "signs"
		switch {
		case k.RetiredAt != nil:
			does = "retired"
		case k.SignedTill != nil:
			does = "verifies"
		}
		rows = append(rows, []string{k.ID, does, figures.Clock(k.Since), moment(k.SignedTill), moment(k.RetiredAt)})
	}
	p.Table([]string{"KEY", "DOES", "SINCE", "SIGNED UNTIL", "RETIRED"}, rows...)
}

func (a *app) bounceKeyRotateCmd() *cobra.Command {
	return &cobra.Command{
		Use: "rotate", Short: "Make a key that signs from now on", Args: atMost(0),
		Long: `Makes a key; all nodes sign with it within a second. Bounces and unsubscribe
links that older keys signed still count. If a secret leaked, retire its key
afterwards.`,
		RunE: a.onQueue(func(ctx context.Context, db *queue.DB, _ []string) error {
			id, err := db.RotateTokenKey(ctx)
			if err != nil {
				return err
			}
			a.hint("what the others signed counts until they are retired: enotify bounce key list")
			return a.say("key %s signs from now on", id)
		}),
	}
}

func (a *app) bounceKeyRetireCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use: "retire ID", Short: "Refuse everything that a key signed", Args: one("a key of enotify bounce key list"),
		Long: `Makes all nodes refuse, within a second and for good, everything that a key
signed: bounces still to come, and the unsubscribe links in old mail. The key
that signs now cannot be retired; rotate first.`,
	}
	yes := yesFlag(cmd)
	cmd.RunE = a.onQueue(func(ctx context.Context, db *queue.DB, args []string) error {
		key, err := db.TokenKeyState(ctx, args[0])
		if err != nil {
			return err
		}
		if key.SignedTill != nil && key.RetiredAt == nil { // else there is nothing to ask
			p := term.Page{Now: time.Now()}
			if err := a.confirm(*yes, "key %s has signed nothing since %s; refuse for good the bounces and unsubscribe links of the mail before?", key.ID, p.Ago(*key.SignedTill)); err != nil {
				return err
			}
		}
		since, err := db.RetireTokenKey(ctx, key.ID)
		if err != nil {
			return err
		}
		return a.say("key %s is retired since %s", key.ID, figures.Clock(since))
	})
	return cmd
}
