package queue

import (
	"context"
	"errors"
)

// Listen calls wake for every notification of the database, with its payload,
// and with "" when it begins to listen: earlier notifications were not heard.
// It returns when ctx ends or the connection breaks. A pooler passes no
// notifications on: there it only waits for the end of ctx.
func (db *DB) Listen(ctx context.Context, wake func(payload string)) error {
	if db.Pooler() {
		wake("")
		<-ctx.Done()
		return ctx.Err()
	}
	pooled, err := db.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	conn := pooled.Hijack()
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.Exec(ctx, "LISTEN enotify"); err != nil {
		return err
	}
	wake("")
	for {
		n, err := conn.WaitForNotification(ctx)
		if err != nil {
			if errors.Is(err, context.Canceled) {
				return ctx.Err()
			}
			return err
		}
		wake(n.Payload)
	}
}
