package main

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"enotify/cmd/enotify/database"
	"enotify/cmd/enotify/term"
	"enotify/queue"
	"enotify/queue/localpg"
	"enotify/spfguard/dns"
)

// demoEgress is where receivers are made to believe that the mail comes from:
// an address of documentation (RFC 5737). Nothing leaves the machine.
var demoEgress = netip.MustParseAddr("192.0.2.10")

// demoSettings are the flags of demo.
type demoSettings struct {
	out        string
	own        ownInput
	retryFirst time.Duration
	size       float64 // 1 is the usual number of recipients
}

func (a *app) demoCmd() *cobra.Command {
	var s demoSettings
	cmd := &cobra.Command{
		Use: "demo", Short: "See everything at work on this machine, with nothing to prepare", Args: cobra.NoArgs,
		Long: `Starts a private PostgreSQL, a made-up DNS and made-up mail servers on loopback,
enqueues a few batches by SQL as an application would, and sends them while you
watch: to a receiver that takes everything, one that answers 421 past three
connections, one whose users are gone, one that greylists, one that is offline;
for a client whose SPF record lets us send, and for one whose record does not.
It takes about 20 seconds, ends by itself, and leaves the messages received as
.eml files. Ctrl-C ends it early. A database of yours is not touched.

With --recipients and --text or --html it sends your own input there. Domains
that the demo does not know are served by the receiver that takes everything.`,
		Example: `  enotify demo
  enotify demo --recipients people.csv --text letter.txt --html letter.html --subject 'Hello {{.name}}'`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.demo(cmd.Context(), s)
		},
	}
	f := cmd.Flags()
	f.StringVar(&s.out, "out", "", "`DIR` for the messages received; default: a new temporary one")
	f.StringVar(&s.own.recipients, "recipients", "", "CSV `FILE` with a header line; the column address, others are merge data")
	f.StringVar(&s.own.text, "text", "", "`FILE` with the text body; {{.name}} is the column name")
	f.StringVar(&s.own.html, "html", "", "`FILE` with the HTML body")
	f.StringVar(&s.own.subject, "subject", "A message from the demo", "`TEXT` of the subject of your own input")
	f.StringVar(&s.own.from, "from", "news@"+goodClient, "`ADDRESS` that your own input is from")
	f.DurationVar(&s.retryFirst, "first-retry", 4*time.Second, "wait before the first retry; each further one waits twice as long")
	f.Float64Var(&s.size, "size", 1, "share of the usual number of recipients")
	_ = f.MarkHidden("size") // fails only for a flag that does not exist
	return cmd
}

// A demo is one run: the parts that it has started, and what it shows.
type demo struct {
	settings demoSettings
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

func (a *app) demo(ctx context.Context, s demoSettings) (err error) {
	d := &demo{settings: s, screen: a.newScreen(), told: map[int64]int{}}
	d.board = newBoard(d.screen)
	if d.script, err = s.script(); err != nil {
		return err
	}
	if d.bag, err = openMailbag(s.out); err != nil {
		return err
	}
	err = d.start(ctx, func(databaseURL string) error { return a.perform(ctx, d, databaseURL) })
	d.screen.Redraw(nil)
	err = errors.Join(err, d.bag.close())
	if err == nil && ctx.Err() != nil {
		d.screen.Say("interrupted; nothing is left running") // as for run, a signal is a way to end well
	}
	return err
}

// start brings up the internet and a database, calls then, and ends both. What
// fails because ctx ended is no error, but what cannot be ended is one.
func (d *demo) start(ctx context.Context, then func(databaseURL string) error) (err error) {
	if d.internet, err = startInternet(d.settings.retryFirst/2, d.bag); err != nil {
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
func (a *app) perform(ctx context.Context, d *demo, databaseURL string) (err error) {
	if d.db, err = database.Open(ctx, databaseURL, 8); err != nil {
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
	if err := d.begin(ctx); err != nil {
		return err
	}

	sending, stop := context.WithCancel(ctx)
	sent := make(chan error, 1)
	go func() {
		defer stop() // also when it fails
		sent <- a.sendForDemo(sending, d)
	}()
	shown := d.watch(sending)
	stop()
	if err := errors.Join(<-sent, shown); err != nil {
		return err
	}
	after, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	return d.sumUp(after, ctx.Err() != nil)
}

// sendForDemo runs a node as run does, its log unseen unless it is asked for.
func (a *app) sendForDemo(ctx context.Context, d *demo) error {
	node := queue.Node{Name: "demo", Egress: []netip.Addr{demoEgress}, HELO: "mail.hoster.example", Version: version}
	settings := runSettings{
		smtpPort: d.internet.port, retryFirst: d.settings.retryFirst, retryMax: time.Hour, grace: 3 * time.Second,
		maxInFlight: 2000, maxConns: 500, tls: "opportunistic",
	}
	quiet := *a
	if !a.verbose {
		quiet.stderr = io.Discard
	}
	return quiet.send(ctx, d.db, node, settings, &dns.Resolver{Server: d.internet.dns.Addr})
}
