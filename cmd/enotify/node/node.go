// Package node runs a node: it opens the database and wires the queue, the
// sender, the guard, the monitor and the listeners for mail that came back.
package node

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"

	"enotify/cmd/enotify/database"
	"enotify/cmd/enotify/keyring"
	"enotify/cmd/enotify/unsubscribe"
	"enotify/queue"
	"enotify/queue/engine"
	"enotify/queue/guard"
	"enotify/sender"
	"enotify/sender/bounce/report"
	"enotify/sender/compose"
	"enotify/sender/throttle"
	"enotify/spfguard/dns"
)

// Run runs a node until ctx ends, or with UntilIdle until nothing is due.
func Run(ctx context.Context, c Config) error {
	if err := c.Check(); err != nil {
		return err
	}
	databaseURL, stop, err := database.Locate(ctx, c.DatabaseURL, c.Log)
	if err != nil {
		return err
	}
	defer stop()
	db, err := database.Open(ctx, databaseURL, connections, c.Log)
	if err != nil {
		return err
	}
	defer db.Close()
	return c.serve(ctx, db)
}

// connections to the database that a node keeps.
const connections = 8

// serve wires the parts of a node together and runs them.
func (c Config) serve(ctx context.Context, db *queue.DB) error {
	log := c.Log.With("node", c.Name)
	resolver := &dns.Resolver{Server: c.Resolver}
	node := queue.Node{Name: c.Name, Egress: c.Egress, HELO: c.HELO, Version: c.Version, Turn: c.Turn}
	monitor, err := newMonitor(db, c.Listen, log)
	if err != nil {
		return err
	}
	keys := &keyring.Keyring{DB: db}
	signing, err := keys.Load(ctx)
	if err != nil {
		return fmt.Errorf("keys could not be read from the database: %w", err)
	}
	offered, err := certificate(c.BounceCert, c.BounceKey)
	if err != nil {
		return err
	}
	doors, err := listenForReturns(c.BounceListen)
	if err != nil {
		return err
	}
	monitor.pages = unsubscribe.New(db, keys.Open, log)
	monitor.base = c.PublicURL
	returns := &comebacks{db: db, keys: keys, monitor: monitor, log: log, doors: doors, reader: report.Reader{Rules: c.rules}}
	if err := returns.warn(ctx, c.BounceDomain); err != nil {
		return err
	}
	limits := &throttle.Throttle{}
	encryption, err := sender.ParseTLSPolicy(c.TLS)
	if err != nil {
		return err
	}
	mail := &sender.Sender{
		Resolver: resolver, Throttle: limits, HELO: node.HELO, Port: c.SMTPPort, AllowMX: c.AllowMX, Own: slices.Concat(node.Egress, interfaceAddrs()), Smarthost: c.Smarthost, SmarthostLogin: c.Login, Bind: Bindable(node.Egress),
		TLS: encryption, MaxConnections: c.MaxConnections, Keys: signing, BounceDomain: c.BounceDomain, PublicURL: c.PublicURL, FeedbackSender: c.FeedbackID, Rules: c.rules, Log: log,
	}
	mail.DKIM.Path = c.DKIMDir
	mail.Alerted = func(ctx context.Context, alert queue.Alert) {
		monitor.alert(alert)
		if err := db.Raise(ctx, alert); err != nil {
			log.Warn("an alert did not reach those who listen", "kind", alert.Kind, "error", err)
		}
	}
	server := &engine.Server{
		DB: db, Node: node, Handler: monitor.watch(mail.Deliver), Admission: limits, Memory: limits, Schedule: c.Schedule, Survey: mail.Survey, Check: compose.Check, MessageTime: mail.MessageTime,
		MaxInFlight: c.MaxInFlight, Grace: c.Grace, StateDir: c.StateDir, UntilIdle: c.UntilIdle, Log: c.Log, Alerted: monitor.alert,
	}
	guard := &guard.Guard{
		DB: db, Checker: &checker{resolver.Server, &mail.DKIM, log}, BounceDomain: c.BounceDomain, Every: c.Recheck, Log: log,
		Judged: server.Wake, Alerted: monitor.alert,
	}
	policies := &policies{db: db, keys: keys, mail: mail, throttle: limits, log: log, wake: make(chan struct{}, 1)}
	if err := policies.load(ctx); err != nil {
		return fmt.Errorf("limits could not be read from the database: %w", err)
	}
	if err := lookAtKeys(ctx, db, &mail.DKIM, log); err != nil {
		return err
	}

	around, cancel := context.WithCancel(ctx)
	defer cancel()
	var group errgroup.Group
	group.Go(func() error { return listen(around, db, log, server.Wake, guard.Wake, policies.Wake) })
	group.Go(func() error { policies.run(around); return nil })
	group.Go(func() error { return monitor.run(around) })
	group.Go(func() error { return returns.run(around, node.HELO, offered, c.Grace) })
	group.Go(func() error {
		select {
		case <-server.Joined():
			guard.Run(around)
		case <-around.Done():
		}
		return nil
	})
	log.Info("started", "egress", node.Egress, "helo", node.HELO, "version", c.Version)
	err = server.Serve(ctx)
	cancel()
	err = errors.Join(err, group.Wait())
	mail.Close()
	log.Info("stopped")
	return err
}
