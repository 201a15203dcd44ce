package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"enotify/cmd/enotify/database"
	"enotify/cmd/enotify/exit"
	"enotify/cmd/enotify/figures"
	"enotify/queue"
)

// An app is one run of the program: its surroundings, and the settings that
// all verbs share.
type app struct {
	getenv         func(string) string
	stdin          io.Reader
	stdout, stderr io.Writer
	begun          bool // the command line made sense: a verb runs

	databaseURL string
	readURL     string
	resolver    string
	output      string
	verbose     bool
	logFormat   string
	by          string
}

func (a *app) rootCmd() *cobra.Command {
	root := &cobra.Command{
		Use:           "enotify",
		Short:         "Send notifications for many client domains, throttled and checked against SPF",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.ArbitraryArgs, // what names no command
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return noCommand(cmd, args[0])
			}
			return cmd.Help()
		},
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			if err := a.environ(cmd.Flags()); err != nil {
				return err
			}
			if a.output != "table" && a.output != "json" {
				return fmt.Errorf("-o %s: want table or json", a.output)
			}
			if a.logFormat != "text" && a.logFormat != "json" {
				return fmt.Errorf("--log %s: want text or json", a.logFormat)
			}
			a.begun = true
			return nil
		},
	}
	f := root.PersistentFlags()
	f.StringVar(&a.databaseURL, "database-url", "",
		"PostgreSQL `URL`; default: DATABASE_URL, else a private PostgreSQL")
	f.StringVar(&a.readURL, "read-url", "",
		"PostgreSQL `URL` of a standby that list, show, audit, report and export read; default: the database itself")
	f.StringVar(&a.resolver, "resolver", "", "ask the DNS server at `HOST:PORT`; default: the system's")
	f.StringVarP(&a.output, "output", "o", "table", "table or json")
	f.StringVar(&a.by, "by", "", "your `NAME` for the log of batches; default: the user of the operating system")
	f.BoolVarP(&a.verbose, "verbose", "v", false, "log every delivery attempt")
	f.StringVar(&a.logFormat, "log", "text", "text or json: the form of the log on standard error")
	root.AddCommand(a.egressCmd())
	root.AddCommand(a.runCmd(), a.demoCmd(), a.clientCmd(), a.batchCmd(), a.preflightCmd(), a.consoleCmd(),
		a.destinationCmd(), a.suppressionCmd(),
		a.nodeCmd(), a.eventCmd(), a.webhookCmd(), a.tokenCmd(), a.spfCmd(a.liveEgress), a.bounceCmd(),
		a.doctorCmd(), a.healthCmd(), a.forgetCmd(), a.retentionCmd(), a.migrateCmd(), a.versionCmd(), a.manCmd())
	root.SetHelpCommand(a.helpCmd())
	root.SetFlagErrorFunc(flagMistake)
	return root
}

// noTwin marks a flag that has no twin in the environment: what it stores about an address
// or a client is a setting of nodes by the same name, which is set where they run.
const noTwin = "no twin"

func withoutTwin(flags *pflag.FlagSet, name string) {
	flags.Lookup(name).Annotations = map[string][]string{noTwin: nil}
}

// environ sets the flags that were not given from their twins in the environment.
func (a *app) environ(flags *pflag.FlagSet) (err error) {
	flags.VisitAll(func(f *pflag.Flag) {
		name := "ENOTIFY_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		value := a.getenv(name)
		if _, none := f.Annotations[noTwin]; none || f.Changed || value == "" || err != nil {
			return
		}
		if e := flags.Set(f.Name, value); e != nil {
			err = fmt.Errorf("%s: %w", name, e)
			if invalid := (*pflag.InvalidValueError)(nil); errors.As(e, &invalid) {
				err = badValue(name+"="+value, invalid)
			}
		}
	})
	if a.databaseURL == "" {
		a.databaseURL = a.getenv("DATABASE_URL")
	}
	return err
}

// person is who uses the command line: as --by says, else the user who called sudo,
// else the user of the process.
func (a *app) person() string {
	name := cmp.Or(a.by, a.getenv("SUDO_USER"))
	if name != "" {
		return name
	}
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return cmp.Or(a.getenv("USER"), fmt.Sprint("user ", os.Getuid())) // a container has no list of users
}

func (a *app) versionCmd() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: atMost(0),
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintln(a.stdout, version)
			return err
		},
	}
}

func (a *app) migrateCmd() *cobra.Command {
	return &cobra.Command{
		Use: "migrate", Short: "Bring the database's schema up to date", Args: atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			url, stop, err := a.database(cmd.Context())
			if err != nil {
				return err
			}
			defer stop()
			applied, err := database.Migrate(cmd.Context(), url, a.logger())
			if err != nil {
				return err
			}
			if len(applied) == 0 {
				return a.say("the schema is up to date")
			}
			var numbered []string
			for _, name := range applied {
				if !strings.HasPrefix(name, "functions/") {
					numbered = append(numbered, name)
				}
			}
			return a.say("%s", appliedWords(numbered, len(applied)-len(numbered)))
		},
	}
}

// appliedWords is what migrate did, in a line.
func appliedWords(migrations []string, functions int) string {
	var parts []string
	if len(migrations) > 0 {
		parts = append(parts, strings.Join(migrations, ", "))
	}
	if functions > 0 {
		parts = append(parts, "functions and views: "+figures.Count(functions))
	}
	return "the schema is up to date; applied " + strings.Join(parts, ", ")
}

// database is the URL of the database, see [database.Locate].
func (a *app) database(ctx context.Context) (databaseURL string, stop func(), err error) {
	return database.Locate(ctx, a.databaseURL, func(line string) { a.hint("%s", line) }, a.logger())
}

// withQueue opens the queue for what a verb does once its flags make sense. It
// brings no schema up to date: that is for migrate and run.
func (a *app) withQueue(ctx context.Context, verb func(ctx context.Context, db *queue.DB) error) error {
	databaseURL, stop, err := a.database(ctx)
	if err != nil {
		return err
	}
	defer stop()
	db, err := database.Open(ctx, databaseURL, 0, queue.As{Person: a.person()})
	if err != nil {
		return err
	}
	defer db.Close()
	err = queue.AsRefusal(verb(ctx, db))
	missing := (*queue.Problem)(nil)
	switch {
	case errors.As(err, &missing) && missing.Noun == queue.NounBatch && errors.Is(err, queue.ErrNotFound):
		if blind := seen(ctx, db); blind != nil {
			return blind
		}
	case errors.Is(err, queue.ErrDenied):
		return denied(ctx, db, err)
	case errors.Is(err, queue.ErrAway):
		return err
	case err != nil && db.Ping(ctx) != nil && ctx.Err() == nil:
		return fmt.Errorf("%w while the verb ran: what it had not done is not done; try again once it is back",
			queue.ErrAway)
	}
	return err
}

// denied names the role that the login lacks for what it tried.
func denied(ctx context.Context, db *queue.DB, err error) error {
	login, unknown := db.Login(ctx)
	name := pgx.Identifier{db.User()}.Sanitize()
	switch {
	case unknown != nil, !login.Admin:
		return fmt.Errorf("%w; it takes a member of enotify_admin: GRANT enotify_admin TO %s", err, name)
	case !login.Sender:
		return fmt.Errorf("%w; it takes the owner of the schema, %s, or what nodes may do: GRANT enotify_sender TO %s",
			err, login.Owner, name)
	}
	return fmt.Errorf("%w; it takes the owner of the schema: do it as %s", err, login.Owner)
}

// seen is for a verb that found no batch. Where the login may see none, it returns an error
// that says so: there may be batches.
func seen(ctx context.Context, db *queue.DB) error {
	login, err := db.Login(ctx)
	if err == nil && !login.Admin && !login.Sender && login.Sees == 0 {
		err = fmt.Errorf("login %s is tied to no client and sees no batches: enotify client add DOMAIN --role %[1]s "+
			"lets it send for one, GRANT enotify_admin TO %s lets it see all", login.Name,
			pgx.Identifier{login.Name}.Sanitize())
	}
	return err
}

// seesAll refuses a login that sees only some of the batches.
func seesAll(ctx context.Context, db *queue.DB) error {
	login, err := db.Login(ctx)
	if err == nil && !login.Admin && !login.Sender {
		err = queue.ErrDenied
	}
	return err
}

// onQueue is a verb that needs the queue at once.
func (a *app) onQueue(verb func(ctx context.Context, db *queue.DB, args []string) error) func(*cobra.Command,
	[]string) error {
	return func(cmd *cobra.Command, args []string) error {
		return a.withQueue(cmd.Context(), func(ctx context.Context, db *queue.DB) error { return verb(ctx, db, args) })
	}
}

// noun groups the verbs of one noun. Without a verb it is an error: cobra would print its
// help and call that a success.
func noun(name, short string, verbs ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use: name + " VERB", Short: short, DisableFlagsInUseLine: true,
		FParseErrWhitelist: cobra.FParseErrWhitelist{UnknownFlags: true}, // the verb is what is wrong
		RunE: func(cmd *cobra.Command, args []string) error {
			var names []string
			for _, verb := range verbs {
				names = append(names, verb.Name())
			}
			if len(args) == 0 {
				return exit.Usagef("%s needs a verb: %s", verbOf(cmd), strings.Join(names, ", "))
			}
			return noVerb(cmd, args[0], names)
		},
	}
	cmd.AddCommand(verbs...)
	return cmd
}

// atMost is the argument check of a verb that takes up to n things.
func atMost(n int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > n {
			return fmt.Errorf("%s does not take %q: %s", cmd.CommandPath(), args[n], cmd.UseLine())
		}
		return nil
	}
}

// one is the argument check of a verb that takes one thing, such as "a domain".
func one(thing string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch len(args) {
		case 0:
			return fmt.Errorf("%s needs %s: %s", cmd.CommandPath(), thing, cmd.UseLine())
		case 1:
			return nil
		}
		return fmt.Errorf("%s takes %s and nothing else, but got %q too", cmd.CommandPath(), thing, args[1])
	}
}
