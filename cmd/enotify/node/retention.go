package node

import (
	"context"
	"log/slog"
	"time"

	"enotify/queue"
	"enotify/queue/retention"
)

const (
	// retainEvery is how often a node looks for data that is kept no longer.
	retainEvery = 10 * time.Minute
	// retainStep is how many rows are dropped in one transaction: few milliseconds.
	retainStep = 1000
	// retainPause lets the sending through between two steps.
	retainPause = 200 * time.Millisecond
)

// retain drops what the retention settings say, in small steps, until ctx ends.
// Nodes that do so at the same time leave each other alone.
func retain(ctx context.Context, db *queue.DB, log *slog.Logger) {
	for tick := time.NewTicker(retainEvery); ; {
		kinds, err := retention.Of(db).Rules(ctx)
		for i := 0; i < len(kinds) && err == nil; i++ {
			err = retainKind(ctx, db, kinds[i], log)
		}
		if err != nil && ctx.Err() == nil {
			log.Warn("old data could not be dropped; it is tried again in 10 minutes", "error", err)
		}
		select {
		case <-ctx.Done():
			tick.Stop()
			return
		case <-tick.C:
		}
	}
}

func retainKind(ctx context.Context, db *queue.DB, kind retention.Rule, log *slog.Logger) error {
	if kind.Keep == nil || kind.Kind == retention.Events { // which the webhooks drop
		return nil
	}
	for dropped := 0; ; {
		n, err := retention.Of(db).Drop(ctx, kind.Kind, retainStep)
		dropped += n
		if n == 0 && dropped > 0 {
			log.Info("dropped old data", "kind", kind.Kind, "kept_for", kind.Keep.String(), "rows", dropped)
		}
		if err != nil || n == 0 {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(retainPause):
		}
	}
}
