// Package database opens the database of an installation: the operator's, or a
// private one of enotify's own, with its schema up to date.
package database

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"enotify/migrations"
	"enotify/queue"
	"enotify/queue/localpg"
)

// Locate returns the URL of the database: operators, or where that is "" the
// one of a private server. stop ends that server unless it was running before.
func Locate(ctx context.Context, operators string, log *slog.Logger) (databaseURL string, stop func(), err error) {
	if operators != "" {
		return operators, func() {}, nil
	}
	server, err := localpg.Start(ctx, localpg.Options{})
	if err != nil {
		return "", nil, fmt.Errorf("%w; or name a database with --database-url", err)
	}
	return server.URL(), func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		if err := server.Stop(ctx); err != nil {
			log.Warn("the private PostgreSQL did not stop", "error", err)
		}
	}, nil
}

// Open opens a database and brings its schema up to date. It keeps up to
// maxConns connections; 0 leaves that to the URL.
func Open(ctx context.Context, databaseURL string, maxConns int32, log *slog.Logger) (*queue.DB, error) {
	db, err := queue.Open(ctx, databaseURL, maxConns)
	if err != nil {
		return nil, err
	}
	if _, err := Migrate(ctx, databaseURL, log); err != nil {
		db.Close()
		return nil, err
	}
	return db, nil
}

// Migrate brings the schema up to date and returns the names of the migrations,
// functions and views that it applied. It logs who holds a table that it waits for.
func Migrate(ctx context.Context, databaseURL string, log *slog.Logger) ([]string, error) {
	conn, err := pgx.Connect(ctx, databaseURL)
	if err != nil {
		return nil, fmt.Errorf("database: %w", withoutPassword(err, databaseURL))
	}
	defer conn.Close(context.WithoutCancel(ctx))
	upgrade := migrations.Upgrade{Waiting: func(h migrations.Holder) {
		log.Warn("the migration waits for a table in use and tries again for a minute", "in_use_by", h.String(),
			"next", fmt.Sprintf("end that transaction: SELECT pg_terminate_backend(%d)", h.PID))
	}}
	applied, err := upgrade.Up(ctx, conn)
	if err != nil && conn.IsClosed() { // it went away, and said nothing of the schema
		err = fmt.Errorf("the database went away while its schema was read: %w; try again", err)
	}
	return applied, err
}

// withoutPassword takes the password of the URL out of an error's text.
func withoutPassword(err error, databaseURL string) error {
	u, parseErr := url.Parse(databaseURL)
	if parseErr != nil || u.User == nil {
		return err
	}
	if password, ok := u.User.Password(); ok && password != "" {
		return errors.New(strings.ReplaceAll(err.Error(), password, "xxxxx"))
	}
	return err
}
