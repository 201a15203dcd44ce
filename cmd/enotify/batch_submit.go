package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"enotify/cmd/enotify/exit"
	"enotify/cmd/enotify/preflight"
	"enotify/cmd/enotify/preflight/gather"
	"enotify/queue"
	"enotify/sender/compose"
)

func (a *app) batchSubmitCmd() *cobra.Command {
	p := &preflightFlags{app: a}
	var look, force bool
	var reason string
	cmd := a.batchVerb("submit", "Seal a draft and queue it", func(ctx context.Context, db *queue.DB, batch int64) error {
		switch {
		case force && !look:
			return exit.Usagef("--force is for --preflight")
		case force && strings.TrimSpace(reason) == "":
			return exit.Usagef("--force needs --reason: why it is sent all the same, for others to read")
		}
		if err := p.check(); err != nil {
			return err
		}
		content, err := db.Content(ctx, batch)
		if err != nil {
			return err
		}
		if err := compose.Check(content); err != nil {
			return fmt.Errorf("batch %d cannot be sent: %w; cancel it and create it anew", batch, err)
		}
		if look {
			if err := p.clear(ctx, db, batch, force, reason); err != nil {
				return err
			}
		}
		_, err = db.Submit(ctx, batch)
		return err
	})
	cmd.Long = `Seals a draft and queues it. With --preflight the draft is checked first, as
enotify preflight does. When a row blocks, the draft is not submitted: exit code
2, with the findings on standard error. --force submits it all the same, and
keeps who did so and why with the report.`
	f := cmd.Flags()
	f.BoolVar(&look, "preflight", false, "check the batch first; submit it only if nothing blocks")
	f.BoolVar(&force, "force", false, "with --preflight: submit although a row blocks")
	f.StringVar(&reason, "reason", "", "with --force: `TEXT` that says why; it is kept with the report")
	p.addSources(f)
	return cmd
}

// clear makes a report and keeps it. It refuses a batch of which a row blocks.
func (p *preflightFlags) clear(ctx context.Context, db *queue.DB, batch int64, force bool, reason string) error {
	s, err := db.Status(ctx, batch)
	if err != nil {
		return err
	}
	if s.State != "draft" {
		return nil // it was submitted before; to submit it again changes nothing
	}
	_, r, err := p.report(ctx, db, gather.Campaign{ID: batch})
	if err != nil {
		return err
	}
	blocked := r.Summary.Verdict == preflight.Blocked
	if !blocked {
		reason = ""
	}
	if err := p.keep(ctx, db, r, reason); err != nil {
		return err
	}
	if blocked && !force {
		return refused(p.app, r)
	}
	p.hint("%s", r.Line())
	return nil
}
