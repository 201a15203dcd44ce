package node

import (
	"context"
	"log/slog"
	"time"

	"enotify/queue"
)

// suppressDueEvery is how often a node looks for suppressions that wait for the end of
// another transaction.
const suppressDueEvery = 10 * time.Second

// suppressDue suppresses the addresses that another transaction had locked when replies
// about them were recorded, until ctx ends.
func suppressDue(ctx context.Context, db *queue.DB, log *slog.Logger) {
	every(ctx, suppressDueEvery, func() {
		switch n, err := db.SuppressDue(ctx); {
		case err != nil && ctx.Err() == nil:
			log.Warn("addresses could not be suppressed; it is tried again in 10 s", "error", err)
		case n > 0:
			log.Info("addresses are suppressed that another transaction had locked", "replies", n)
		}
	})
}
