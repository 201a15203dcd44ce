// Package node runs a node: it opens the database and wires the queue, the
// sender, the guard, the monitor and the listeners for mail that came back.
package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"enotify/cmd/enotify/console"
	"enotify/cmd/enotify/database"
	"enotify/cmd/enotify/destinations"
	"enotify/cmd/enotify/exit"
	"enotify/cmd/enotify/keyring"
	"enotify/cmd/enotify/preflight/gather"
	"enotify/cmd/enotify/ready"
	"enotify/cmd/enotify/unsubscribe"
	"enotify/cmd/enotify/webhook"
	"enotify/queue"
	"enotify/queue/engine"
	"enotify/queue/guard"
	"enotify/queue/tlsreports"
	"enotify/sender"
	"enotify/sender/compose"
	"enotify/sender/dkim"
	"enotify/sender/throttle"
	"enotify/sender/tlsrpt"
	"enotify/sender/token"
	"enotify/spfguard/dns"
)

// Run runs a node until ctx ends, or with UntilIdle until nothing is due.
func Run(ctx context.Context, c Config) error {
	if err := c.Check(); err != nil {
		return err
	}
	if err := c.tryAddresses(); err != nil {
		return err
	}
	databaseURL, stop, err := database.Locate(ctx, c.DatabaseURL, func(line string) { c.Log.Info(line) }, c.Log)
	if err != nil {
		return err
	}
	defer stop()
	c.DatabaseURL = databaseURL
	db, err := database.Await(ctx, databaseURL, connections, queue.As{Node: c.Name}, c.Log)
	if err != nil {
		return err
	}
	defer db.Close()
	if err := fit(ctx, db, c.Log); err != nil {
		return err
	}
	if c.named {
		if err := alone(ctx, db, c.Name, c.Log); err != nil {
			return err
		}
	}
	c.DatabaseURL = databaseURL
	p, err := c.assemble(ctx, db)
	if err != nil {
		return err
	}
	return p.run(ctx)
}

// connections to the database that a node keeps.
const connections = 8

// The parts of a node.
type parts struct {
	Config
	log      *slog.Logger
	db       *queue.DB
	monitor  *monitor
	returns  *comebacks
	mail     *sender.Sender
	server   *engine.Server
	guard    *guard.Guard
	policies *policies
	console  *console.Server // nil: none
	webhooks *webhook.Runner
	submits  *submits
	reports  *tlsReports
	ready    *ready.Watch
	readied  chan struct{} // wakes ready
}

// assemble wires the parts together. It takes the addresses that the node
// listens at, and reads what it needs to begin with from the database.
func (c Config) assemble(ctx context.Context, db *queue.DB) (_ *parts, err error) {
	p := &parts{Config: c, log: c.Log.With("node", c.Name), db: db, readied: make(chan struct{}, 1)}
	defer func() {
		if err != nil {
			p.close()
		}
	}()
	if p.monitor, err = newMonitor(db, c.Listen, c.UnsubscribeListen, c.Version, p.log); err != nil {
		return nil, err
	}
	if c.Console != nil {
		web := *c.Console
		web.DatabaseURL = c.DatabaseURL
		if p.console, err = console.Listen(web); err != nil {
			return nil, err
		}
	}
	keys := &keyring.Keyring{DB: db}
	signing, err := keys.Load(ctx)
	if err != nil {
		return nil, fmt.Errorf("keys could not be read from the database: %w", err)
	}
	p.monitor.pages, p.monitor.base = unsubscribe.New(db, c.languages, keys.Open, p.log), c.PublicURL
	if p.returns, err = c.comebacks(ctx, db, keys, p.monitor, p.log); err != nil {
		return nil, err
	}
	if p.submits, err = c.submits(ctx, p.log); err != nil {
		return nil, err
	}
	limits := &throttle.Throttle{}
	if p.mail, err = c.sender(db, signing, limits, p.log); err != nil {
		return nil, err
	}
	if err := p.mail.STS.Load(ctx); err != nil {
		return nil, fmt.Errorf("MTA-STS policies could not be read from the database: %w", err)
	}
	p.mail.Alerted, p.mail.Measured = p.alert, p.monitor.phase
	p.mail.TLSResults = &tlsrpt.Tally{Seen: p.monitor.tlsSession}
	p.reports = &tlsReports{db: db, store: tlsreports.Of(db), mail: p.mail, tally: p.mail.TLSResults,
		from: tlsrpt.Sender{Address: c.TLSReportFrom}, log: p.log, alert: p.alert}
	p.server = &engine.Server{
		DB: db, Node: queue.Node{
			Name: c.Name, Egress: c.Egress, HELO: c.HELO, Version: c.Version, Turn: c.Turn,
			Settings: queue.NodeSettings{PublicURL: c.PublicURL, BounceDomain: c.BounceDomain, Smarthost: c.Smarthost,
				DKIMDir: c.DKIMDir},
		},
		Handler: p.handler(), Admission: pacer{limits, p.monitor.metrics},
		Flushed: p.recorded, Memory: limits, Schedule: c.Schedule,
		Survey: p.mail.Survey, Check: compose.Check, MessageTime: p.mail.MessageTime,
		Leave:       p.mail.Leave,
		MaxInFlight: c.MaxInFlight, Grace: c.Grace, StateDir: c.StateDir, UntilIdle: c.UntilIdle, Sole: c.named,
		Log:     c.Log,
		Alerted: p.monitor.alert,
	}
	p.guard = &guard.Guard{
		DB: db, Checker: &checker{c.Resolver, &p.mail.DKIM, p.log, p.monitor.metrics}, BounceDomain: c.BounceDomain,
		Every: c.Recheck, Log: p.log,
		Judged: func() { p.server.Wake(); nudge(p.readied) }, Alerted: p.monitor.alert,
	}
	p.webhooks = &webhook.Runner{DB: db, Name: c.Name, Allow: c.AllowWebhook, Resolver: c.Resolver, Log: p.log,
		Alerted: p.monitor.alert}
	p.monitor.registry.MustRegister(newGauges(p))
	p.ready = &ready.Watch{DB: db, Sources: c.sources(db), Log: p.log, Alerted: p.monitor.alert, Woken: p.readied}
	p.policies = &policies{db: db, keys: keys, mail: p.mail, throttle: limits, log: p.log, wake: make(chan struct{}, 1)}
	if err := p.policies.load(ctx); err != nil {
		return nil, fmt.Errorf("limits could not be read from the database: %w", err)
	}
	return p, lookAtKeys(ctx, db, &p.mail.DKIM, p.log)
}

// sender is the one that delivers, with the settings of the node.
func (c Config) sender(db *queue.DB, signing token.Keys, limits *throttle.Throttle, log *slog.Logger) (*sender.Sender,
	error) {
	asked, err := sender.ParseTLSPolicy(c.TLS)
	if err != nil {
		return nil, err
	}
	mail := &sender.Sender{
		Resolver: &dns.Resolver{Server: cmp.Or(c.DNSSECResolver, c.Resolver), DNSSEC: c.DNSSECResolver != ""},
		Throttle: limits, HELO: c.HELO, Port: c.SMTPPort,
		AllowMX: c.AllowMX, Own: slices.Concat(c.Egress, interfaceAddrs()), Smarthost: c.Smarthost,
		SmarthostLogin: c.Login, Bind: Bindable(c.Egress),
		TLS: asked, MaxConnections: c.MaxConnections,
		MaxSlow: slowFitting(c.MaxConnections, maxFiles()), Keys: signing, BounceDomain: c.BounceDomain,
		PublicURL:      c.PublicURL,
		FeedbackSender: c.FeedbackID, Rules: c.rules, RootCAs: c.RootCAs, Log: log,
		Attempts: c.Attempts.With("node", c.Name),
	}
	mail.DKIM.Path = c.DKIMDir
	if domain, selector, ok := strings.Cut(c.Operator, "/"); ok {
		if mail.Operator, err = mail.DKIM.Key(domain, selector); err != nil {
			return nil, fmt.Errorf("--dkim-operator %s: %w", c.Operator, err)
		}
	}
	mail.STS = destinations.Policies(mail, destinations.Store{DB: db}, log)
	mail.STS.Port = c.HTTPSPort
	return mail, nil
}

// sources are where a preflight looks that this node runs by itself.
func (c Config) sources(db *queue.DB) func() (*gather.Sources, error) {
	return func() (*gather.Sources, error) {
		s := &gather.Sources{DB: db, Resolver: c.Resolver, Keys: dkim.Directory{Path: c.DKIMDir}}
		for _, network := range c.AllowMX {
			s.AllowMX = append(s.AllowMX, network.String())
		}
		return s, s.Check()
	}
}

// alert goes to the log, the metrics and the listeners of the database.
func (p *parts) alert(ctx context.Context, alert queue.Alert) {
	p.monitor.alert(alert)
	if err := p.db.Raise(ctx, alert); err != nil {
		p.log.Warn("an alert did not reach its listeners", "kind", alert.Kind, "error", err)
	}
}

// heard is called with each notification of the database. Drafts that are kept ready are
// looked at every half a minute, and when something changed that their checks depend on.
func (p *parts) heard(notification string) {
	p.server.Heard(notification)
	switch notification {
	case "", "ready", "client", "verdict", "node", "egress":
		nudge(p.readied)
	}
}

// run runs the parts until ctx ends, or with UntilIdle until nothing is due.
func (p *parts) run(ctx context.Context) error {
	durable := &durability{db: p.db, log: p.log, alert: p.monitor.alert, require: p.RequireDurable}
	if err := durable.start(ctx); err != nil {
		return err
	}
	around, cancel := context.WithCancel(ctx)
	defer cancel()
	var group errgroup.Group
	group.Go(func() error {
		return hear(around, p.db, p.log, p.heard, p.guard.Wake, p.policies.Wake, p.webhooks.Wake)
	})
	group.Go(func() error { p.webhooks.Run(around); return nil })
	group.Go(func() error { return p.submits.run(around) })
	group.Go(func() error { p.policies.run(around); return nil })
	group.Go(func() error { durable.run(around); return nil })
	group.Go(func() error {
		(&transactions{db: p.db, log: p.log, alert: p.monitor.alert}).run(around)
		return nil
	})
	group.Go(func() error { p.reports.run(around); return nil })
	group.Go(func() error { return p.monitor.run(around) })
	group.Go(func() error { retain(around, p.db, p.log); return nil })
	group.Go(func() error { emptyStaging(around, p.db, p.log); return nil })
	group.Go(func() error { suppressDue(around, p.db, p.log); return nil })
	group.Go(func() error {
		if p.console != nil {
			if err := p.console.Run(around); err != nil { // the mail goes on without it
				p.log.Error("the console has ended", "error", err)
			}
		}
		return nil
	})
	group.Go(func() error { return p.returns.run(around, p.HELO, p.Grace) })
	group.Go(func() error {
		select {
		case <-p.server.Joined():
			group.Go(func() error { p.ready.Run(around); return nil })
			p.look(around)
		case <-around.Done():
		}
		return nil
	})
	p.log.Info("started", "egress", p.Egress, "helo", p.HELO, "version", p.Version, "max_connections", p.MaxConnections,
		"max_slow_connections", slowFitting(p.MaxConnections, maxFiles()), "max_files", maxFiles())
	err := p.server.Serve(ctx)
	cancel()
	err = errors.Join(err, group.Wait())
	if p.UntilIdle && ctx.Err() == nil {
		p.pushRest(ctx)
	}
	p.mail.Close()
	p.log.Info("stopped")
	if errors.Is(err, engine.ErrNamesake) { // they started at the same moment
		return exit.Usagef("--node %s: %v; give this one another name", p.Name, engine.ErrNamesake)
	}
	return err
}

// look has the guard check clients, from when the node knows which it can sign for.
func (p *parts) look(ctx context.Context) {
	node := p.server.ID()
	b := &bars{db: p.db, keys: &p.mail.DKIM, name: p.Name, alert: p.alert, log: p.log}
	if err := b.look(ctx, node); err != nil && ctx.Err() == nil {
		p.log.Warn("the keys of clients could not be looked at; trying again", "error", err)
	}
	go b.run(ctx, node)
	p.guard.Node = node
	p.guard.Run(ctx)
}

// pushRest tells webhooks what happened last, before a node ends that has sent all.
func (p *parts) pushRest(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, p.Grace)
	defer cancel()
	p.webhooks.Drain(ctx)
}

// close gives back the addresses of parts that are not run.
func (p *parts) close() {
	if p.monitor != nil {
		p.monitor.close()
	}
	if p.console != nil {
		_ = p.console.Close()
	}
	if p.returns != nil {
		closeAll(p.returns.doors)
	}
	p.submits.close()
}
