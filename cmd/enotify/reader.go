package main

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"enotify/queue"
)

// withReader is [app.withQueue] for a verb that only reads. It may ask a standby, with
// --read-url: there a long report costs the sending nothing.
func (a *app) withReader(ctx context.Context, verb func(ctx context.Context, db *queue.DB) error) error {
	if a.readURL == "" {
		return a.withQueue(ctx, verb)
	}
	reader := *a
	reader.databaseURL = a.readURL
	return reader.withQueue(ctx, func(ctx context.Context, db *queue.DB) error {
		if err := a.sayLag(ctx, db); err != nil {
			return err
		}
		return verb(ctx, db)
	})
}

// lagToSay is the age from which the data of a standby is said to be old. Nodes write each
// second, so a standby that follows is never that old while a node runs.
const lagToSay = 10 * time.Second

// lagSQL is how old the last change is that a standby has; NULL at a primary.
const lagSQL = `SELECT pg_last_xact_replay_timestamp(), clock_timestamp() WHERE pg_is_in_recovery()`

// sayLag says how old the data of a standby is, if it is old.
func (a *app) sayLag(ctx context.Context, db *queue.DB) error {
	return db.WithConn(ctx, func(conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, lagSQL)
		if err != nil {
			return err
		}
		var last *time.Time
		var now time.Time
		_, err = pgx.ForEachRow(rows, []any{&last, &now}, func() error {
			if last != nil && now.Sub(*last) >= lagToSay {
				a.hint("the standby of --read-url has the changes until %s, and none since; "+
					"without --read-url the database itself is asked", last.Format("2006-01-02 15:04:05 MST"))
			}
			return nil
		})
		return err
	})
}

// onReader is [app.onQueue] for a verb that only reads.
func (a *app) onReader(verb func(ctx context.Context, db *queue.DB, args []string) error) func(*cobra.Command,
	[]string) error {
	return func(cmd *cobra.Command, args []string) error {
		return a.withReader(cmd.Context(), func(ctx context.Context, db *queue.DB) error { return verb(ctx, db, args) })
	}
}
