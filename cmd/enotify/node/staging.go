package node

import (
	"context"
	"log/slog"
	"time"

	"enotify/queue"
	"enotify/queue/retention"
)

// emptyStagingEvery is how often a node looks whether the staging table can be emptied.
const emptyStagingEvery = 30 * time.Second

// emptyStaging gives the disk back that staged recipients took, until ctx ends.
func emptyStaging(ctx context.Context, db *queue.DB, log *slog.Logger) {
	every(ctx, emptyStagingEvery, func() {
		switch octets, err := retention.Of(db).EmptyStaging(ctx); {
		case err != nil && ctx.Err() == nil:
			log.Warn("the staging table could not be emptied; it is tried again in 30 s", "error", err)
		case octets > 0:
			log.Info("emptied the staging table", "octets", octets)
		}
	})
}
