package node

import (
	"context"
	"log/slog"
	"time"

	"enotify/queue"
)

// Fitting is fitting, and SlowFitting is slowFitting.
var (
	Fitting     = fitting
	SlowFitting = slowFitting
)

// PercentFor is percentFor.
func PercentFor(live uint64) int { return percentFor(live) }

// LookAtTransactions has two looks at the transactions of a database raise their alerts.
func LookAtTransactions(ctx context.Context, db *queue.DB, age time.Duration, alert func(queue.Alert)) error {
	t := &transactions{db: db, log: slog.New(slog.DiscardHandler), alert: alert}
	if err := t.look(ctx, age); err != nil {
		return err
	}
	return t.look(ctx, age)
}
