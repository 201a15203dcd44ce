// Package database opens the database of an installation: the operator's, or a
// private one of enotify's own, with its schema up to date.
package database

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"

	"enotify/migrations"
	"enotify/queue"
	"enotify/queue/localpg"
)

// Locate returns the URL of the database: operators, or where that is "" the
// one of a private server, whose schema it brings up to date. tell gets the line
// that says so. stop ends that server unless it was running before.
func Locate(
	ctx context.Context, operators string, tell func(line string), log *slog.Logger,
) (databaseURL string, stop func(), err error) {
	if operators != "" {
		return operators, func() {}, nil
	}
	tell("database: private PostgreSQL in " + PrivateDir() + "; to use yours, set DATABASE_URL")
	server, err := localpg.Start(ctx, localpg.Options{})
	if err != nil {
		return "", nil, fmt.Errorf("%w; or name a database with --database-url", err)
	}
	stop = func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		if err := server.Stop(ctx); err != nil {
			log.Warn("the private PostgreSQL did not stop", "error", err)
		}
	}
	if _, err := Migrate(ctx, server.URL(), log); err != nil {
		stop()
		return "", nil, err
	}
	return server.URL(), stop, nil
}

// PrivateDir is the folder of the private server, for people.
func PrivateDir() string {
	dir, err := localpg.DefaultDir()
	if err != nil {
		return "a folder of this user"
	}
	return dir
}

// Open opens a database whose schema is that of this program; it changes nothing.
// It keeps up to maxConns connections; 0 leaves that to the URL.
func Open(ctx context.Context, databaseURL string, maxConns int32, as queue.As) (*queue.DB, error) {
	db, err := queue.OpenAs(ctx, databaseURL, maxConns, as)
	if err != nil {
		return nil, err
	}
	err = db.WithConn(ctx, func(conn *pgx.Conn) error { return migrations.Check(ctx, conn) })
	if err != nil {
		db.Close()
		return nil, err
	}
	return db, nil
}

// Await is [Open] for a node, which brings the schema up to date, and waits for a
// database that is not there yet. The log says so at once, and then every half minute.
func Await(ctx context.Context, databaseURL string, maxConns int32, as queue.As, log *slog.Logger) (*queue.DB, error) {
	const pause, reminder = time.Second, 30
	for tries := 0; ; tries++ {
		db, err := queue.OpenAs(ctx, databaseURL, maxConns, as)
		if err == nil {
			if _, err = Migrate(ctx, databaseURL, log); err == nil {
				return db, nil
			}
			db.Close()
		}
		if !errors.Is(err, queue.ErrAway) || ctx.Err() != nil {
			return nil, err
		}
		if tries%reminder == 0 {
			log.Warn("the database is away; waiting for it", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(pause):
		}
	}
}

// Migrate brings the schema up to date and returns the names of the migrations,
// functions and views that it applied. It logs who holds a table that it waits for.
func Migrate(ctx context.Context, databaseURL string, log *slog.Logger) ([]string, error) {
	conn, err := queue.Connect(ctx, databaseURL)
	if err != nil {
		return nil, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	upgrade := migrations.Upgrade{Waiting: func(h migrations.Holder) {
		log.Warn("the migration waits for a table in use and tries again for a minute", "in_use_by", h.String(),
			"next", fmt.Sprintf("end that transaction: SELECT pg_terminate_backend(%d)", h.PID))
	}}
	applied, err := upgrade.Up(ctx, conn)
	if err != nil && conn.IsClosed() { // it went away, and said nothing of the schema
		err = fmt.Errorf("%w while its schema was read: %w; try again", queue.ErrAway, err)
	}
	return applied, err
}
