package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"enotify/migrations"
	"enotify/queue"
	"enotify/queue/localpg"
)

// An app is one run of the program: its surroundings, and the settings that
// all verbs share.
type app struct {
	getenv         func(string) string
	stdin          io.Reader
	stdout, stderr io.Writer
	begun          bool // the command line made sense: a verb runs

	databaseURL string
	resolver    string
	output      string
	verbose     bool
}

func (a *app) rootCmd() *cobra.Command {
	root := &cobra.Command{
		Use:           "enotify",
		Short:         "Send notifications for many client domains: guarded, throttled, nobody lost and nobody twice",
		SilenceErrors: true,
		SilenceUsage:  true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			if err := a.environ(cmd.Flags()); err != nil {
				return err
			}
			if a.output != "table" && a.output != "json" {
				return fmt.Errorf("-o %s: it is table or json", a.output)
			}
			a.begun = true
			return nil
		},
	}
	f := root.PersistentFlags()
	f.StringVar(&a.databaseURL, "database-url", "", "PostgreSQL `URL`; default DATABASE_URL, else a private PostgreSQL of enotify's own")
	f.StringVar(&a.resolver, "resolver", "", "DNS server, `HOST:PORT`; default: the system's")
	f.StringVarP(&a.output, "output", "o", "table", "table or json")
	f.BoolVarP(&a.verbose, "verbose", "v", false, "log every attempt")
	root.AddCommand(a.runCmd(), a.demoCmd(), a.clientCmd(), a.batchCmd(), a.preflightCmd(), a.destinationCmd(), a.suppressionCmd(), a.nodeCmd(),
		a.spfCmd(a.liveEgress), a.bounceCmd(), a.migrateCmd(), a.versionCmd())
	return root
}

// environ sets the flags that were not given from their twins in the environment.
func (a *app) environ(flags *pflag.FlagSet) (err error) {
	flags.VisitAll(func(f *pflag.Flag) {
		name := "ENOTIFY_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		value := a.getenv(name)
		if f.Changed || value == "" || err != nil {
			return
		}
		if e := flags.Set(f.Name, value); e != nil {
			err = fmt.Errorf("%s: %w", name, e)
		}
	})
	if a.databaseURL == "" {
		a.databaseURL = a.getenv("DATABASE_URL")
	}
	return err
}

func (a *app) versionCmd() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintln(a.stdout, version)
			return err
		},
	}
}

func (a *app) migrateCmd() *cobra.Command {
	return &cobra.Command{
		Use: "migrate", Short: "Bring the database's schema up to date", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			url, stop, err := a.database(cmd.Context())
			if err != nil {
				return err
			}
			defer stop()
			applied, err := migrate(cmd.Context(), url)
			for _, name := range applied {
				fmt.Fprintln(a.stdout, "applied", name)
			}
			if err == nil && len(applied) == 0 {
				fmt.Fprintln(a.stdout, "up to date")
			}
			return err
		},
	}
}

// database gives the URL of the database: the operator's, or that of a private
// server, which stop ends unless it was running already.
func (a *app) database(ctx context.Context) (databaseURL string, stop func(), err error) {
	if a.databaseURL != "" {
		return a.databaseURL, func() {}, nil
	}
	server, err := localpg.Start(ctx, localpg.Options{})
	if err != nil {
		return "", nil, fmt.Errorf("%w; or name a database with --database-url", err)
	}
	return server.URL(), func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		if err := server.Stop(ctx); err != nil {
			a.logger().Warn("the private PostgreSQL did not stop", "error", err)
		}
	}, nil
}

// open opens the database, migrated. The caller closes it with the function returned.
func (a *app) open(ctx context.Context) (*queue.DB, func(), error) {
	databaseURL, stop, err := a.database(ctx)
	if err != nil {
		return nil, nil, err
	}
	db, err := openMigrated(ctx, databaseURL, 0)
	if err != nil {
		stop()
		return nil, nil, err
	}
	return db, func() { db.Close(); stop() }, nil
}

func openMigrated(ctx context.Context, databaseURL string, maxConns int32) (*queue.DB, error) {
	db, err := queue.Open(ctx, databaseURL, maxConns)
	if err != nil {
		return nil, err
	}
	if _, err := migrate(ctx, databaseURL); err != nil {
		db.Close()
		return nil, err
	}
	return db, nil
}

func migrate(ctx context.Context, databaseURL string) ([]string, error) {
	conn, err := pgx.Connect(ctx, databaseURL)
	if err != nil {
		return nil, fmt.Errorf("database: %w", withoutPassword(err, databaseURL))
	}
	defer conn.Close(context.WithoutCancel(ctx))
	applied, err := migrations.Up(ctx, conn)
	if err != nil && conn.IsClosed() { // it went away, and said nothing of the schema
		err = fmt.Errorf("the database went away while its schema was looked at: %w; try again", err)
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

func (a *app) logger() *slog.Logger {
	level := slog.LevelInfo
	if a.verbose {
		level = slog.LevelDebug
	}
	return slog.New(slog.NewTextHandler(a.stderr, &slog.HandlerOptions{Level: level}))
}
