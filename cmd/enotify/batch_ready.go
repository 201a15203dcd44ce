package main

import (
	"context"

	"github.com/spf13/cobra"

	"enotify/queue"
)

func (a *app) batchReadyCmd() *cobra.Command {
	var off bool
	cmd := &cobra.Command{
		Use: "ready ID", Short: "Keep a draft until it is needed, and have it checked each night",
		Args: one("a number"),
		Long: `Keeps a draft, such as an emergency notice, until it is submitted: it does not
end after 7 days, and the time in which its recipients are tried counts from the
submit. A node runs its preflight at once, each night, and when the client's
DNS, its record or the nodes change. The alert not_ready says what would stop
it; batch list too.`,
		Example: "  enotify batch ready 42\n  enotify batch submit 42",
	}
	cmd.Flags().BoolVar(&off, "off", false, "do not keep it any longer: it ends 7 days after it was created")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		id, err := batchID(args[0])
		if err != nil {
			return err
		}
		return a.withQueue(cmd.Context(), func(ctx context.Context, db *queue.DB) error {
			if err := db.KeepReady(ctx, id, !off); err != nil {
				return err
			}
			if off {
				return a.say("batch %d is a draft like others; it ends 7 days after it was created", id)
			}
			return a.say("batch %d is kept ready", id)
		})
	}
	return cmd
}
