// Package demo shows everything at work on one machine: a private PostgreSQL, a
// made-up DNS and mail servers on loopback, an application that enqueues by
// SQL, a node that sends, and what an operator would do next.
package demo

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"time"

	"github.com/jackc/pgx/v5"

	"enotify/cmd/enotify/database"
	"enotify/cmd/enotify/node"
	"enotify/cmd/enotify/term"
	"enotify/queue"
	"enotify/queue/engine"
	"enotify/queue/localpg"
)

// egress is where receivers are made to believe that the mail comes from: an
// address of documentation (RFC 5737). Nothing leaves the machine.
var egress = netip.MustParseAddr("192.0.2.10")

// From is the sender of mail whose author names none: of the client whose
// record lets us send.
const From = "news@" + goodClient

// A Config is what a demo is told.
type Config struct {
	// Out is the folder for the messages received; "" is a new temporary one.
	Out string
	// Own is sent in place of the demo's batches, if it is given.
	Own Input
	// RetryFirst is the wait before the first retry.
	RetryFirst time.Duration
	// Console is the address of a console on the demo, which then goes on until ctx ends;
	// "" is none.
	Console string
	// Size is the share of the usual number of recipients.
	Size float64

	// Screen is where it shows.
	Screen *term.Screen
	// Enotify runs a command line of the program, as an operator would.
	Enotify func(ctx context.Context, getenv func(string) string, args []string) error
	// Version of the program, for the list of nodes.
	Version string
	// Log is the node's log.
	Log *slog.Logger
}

// A demo is one run: the parts that it has started, and what it shows.
type demo struct {
	Config
	script   script
	bag      *mailbag
	internet *internet
	db       *queue.DB
	operator *pgx.Conn
	app      application
	screen   *term.Screen
	board    *board
	told     map[int64]int // changes of state that were told, by batch
}

// Run shows the demo until nothing more can be delivered soon, or ctx ends,
// which is a way to end well.
func Run(ctx context.Context, c Config) (err error) {
	d := &demo{Config: c, screen: c.Screen, told: map[int64]int{}}
	d.board = newBoard(d.screen)
	if d.script, err = c.script(); err != nil {
		return err
	}
	if d.bag, err = openMailbag(c.Out); err != nil {
		return err
	}
	err = d.start(ctx, func(databaseURL string) error { return d.perform(ctx, databaseURL) })
	d.screen.Redraw(nil)
	err = errors.Join(err, d.bag.close())
	if err == nil && ctx.Err() != nil {
		d.screen.Say("interrupted; nothing is left running")
	}
	return err
}

// start brings up the internet and a database, calls then, and ends both. What
// fails because ctx ended is no error, but what cannot be ended is one.
func (d *demo) start(ctx context.Context, then func(databaseURL string) error) (err error) {
	if d.internet, err = startInternet(d.RetryFirst/2, d.bag); err != nil {
		return err
	}
	defer d.internet.close()
	server, err := localpg.Start(ctx, localpg.Options{Ephemeral: true})
	if err != nil {
		return unlessEnded(ctx, err)
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		err = errors.Join(err, server.Stop(ctx))
	}()
	return unlessEnded(ctx, then(server.URL()))
}

func unlessEnded(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// perform sets the stage, sends while it shows what happens, and sums up.
func (d *demo) perform(ctx context.Context, databaseURL string) (err error) {
	if d.db, err = database.Await(ctx, databaseURL, 8, queue.As{}, d.Log); err != nil {
		return err
	}
	defer d.db.Close()
	if d.operator, err = pgx.Connect(ctx, databaseURL); err != nil {
		return err
	}
	defer d.operator.Close(context.WithoutCancel(ctx))
	d.describe()
	if err := d.setUp(ctx, databaseURL); err != nil {
		return err
	}
	defer d.app.conn.Close(context.WithoutCancel(ctx))
	linger, err := d.openConsole(ctx, databaseURL)
	if err != nil {
		return err
	}
	if err := d.begin(ctx); err != nil {
		return err
	}

	sending, stop := context.WithCancel(ctx)
	sent := make(chan error, 1)
	go func() {
		defer stop() // also when it fails
		sent <- d.send(sending, databaseURL)
	}()
	shown := d.watch(sending)
	stop()
	if err := errors.Join(<-sent, shown); err != nil {
		return err
	}
	after, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := d.sumUp(after, ctx.Err() != nil); err != nil {
		return err
	}
	return linger()
}

// send runs a node.
func (d *demo) send(ctx context.Context, databaseURL string) error {
	return node.Run(ctx, node.Config{
		DatabaseURL: databaseURL, Resolver: d.internet.dns.Addr, SMTPPort: d.internet.port,
		AllowMX: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
		Name:    "demo", HELO: "mail.hoster.example", Egress: []netip.Addr{egress},
		Schedule: engine.Schedule{First: d.RetryFirst, Max: time.Hour}, Grace: 3 * time.Second,
		Version: d.Version, Log: d.Log,
	})
}
