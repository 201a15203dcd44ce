package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"enotify/cmd/enotify/database"
	"enotify/cmd/enotify/exit"
	"enotify/queue"
	"enotify/queue/engine"
	"enotify/queue/localpg"
	"enotify/sender"
	"enotify/sender/throttle"
	"enotify/spfguard/dns"
)

// runSettings are the flags of run.
type runSettings struct {
	egress      []string
	helo        string
	node        string
	smtpPort    int
	smarthost   string
	login       sender.Login // at the smarthost; its password is never an argument
	tls         string
	dkimDir     string
	untilIdle   bool
	grace       time.Duration
	retryFirst  time.Duration
	retryMax    time.Duration
	maxInFlight int
	maxConns    int
	listen      string
	publicURL   string
	recheck     time.Duration
	turn        string
	stateDir    string // "": no journal

	bounceListen []string
	bounceDomain string
	bounceCert   string
	bounceKey    string
}

func (a *app) runCmd() *cobra.Command {
	var s runSettings
	cmd := &cobra.Command{
		Use: "run", Short: "Send what is queued, until a signal", Args: cobra.NoArgs,
		Example: "  enotify run --egress 192.0.2.10 --helo mail.host.example",
		RunE: func(cmd *cobra.Command, _ []string) error {
			s.login.Password = a.getenv("ENOTIFY_SMARTHOST_PASSWORD")
			return a.serve(cmd.Context(), s)
		},
	}
	f := cmd.Flags()
	f.StringSliceVar(&s.egress, "egress", nil, "`IP` addresses that receivers see; default: this host's public ones")
	f.StringVar(&s.helo, "helo", "", "our `NAME` at EHLO; default: this host's name")
	f.StringVar(&s.node, "node", "", "`NAME` of this node; default: the host's name and the process id")
	f.IntVar(&s.smtpPort, "smtp-port", 25, "where receivers listen")
	f.StringVar(&s.smarthost, "smarthost", "", "deliver everything to `HOST:PORT`")
	f.StringVar(&s.login.User, "smarthost-user", "", "`NAME` to log in with there, with the password in ENOTIFY_SMARTHOST_PASSWORD; needs STARTTLS with a good certificate, or --tls required")
	f.StringVar(&s.tls, "tls", "opportunistic", "opportunistic; required: nothing in the clear; verified: and only to hosts with a good certificate; enotify destination set says otherwise for some")
	f.StringVar(&s.dkimDir, "dkim-dir", "", "`DIR` with the DKIM keys, DIR/DOMAIN/SELECTOR.pem")
	f.StringVar(&s.turn, "turn", "strict", "strict: one batch at a time; destination: the next begins while the last only waits for slow sites, if all nodes say so")
	f.BoolVar(&s.untilIdle, "until-idle", false, "end when nothing is due now")
	f.DurationVar(&s.grace, "grace", 30*time.Second, "what transactions under way get to finish after a signal")
	f.DurationVar(&s.retryFirst, "retry-first", 5*time.Minute, "wait before the first retry; each further one waits twice as long")
	f.DurationVar(&s.retryMax, "retry-max", 4*time.Hour, "longest wait before a retry")
	f.IntVar(&s.maxInFlight, "max-in-flight", 2000, "messages begun and not yet recorded")
	f.IntVar(&s.maxConns, "max-connections", 500, "SMTP connections open at once")
	f.DurationVar(&s.recheck, "spf-recheck", 6*time.Hour, "how often to look at the SPF record of every client, batch or not")
	f.StringVar(&s.stateDir, "state-dir", "", "`FOLDER` of the journal, on a disk that outlives the process; nodes of one host may share it; default: in the user's state folder")
	f.StringVar(&s.listen, "listen", "", "serve /healthz, /metrics and the unsubscribe page at `ADDR`, such as 127.0.0.1:9025")
	f.StringVar(&s.publicURL, "public-url", "", "`URL`, https, at which readers reach the unsubscribe page of --listen; its /u/ is to be passed on there")
	f.StringArrayVar(&s.bounceListen, "bounce-listen", nil, "take in bounces at `ADDR`, such as :25 or lmtp://127.0.0.1:2424; may be repeated")
	f.StringVar(&s.bounceDomain, "bounce-domain", "", "`NAME` of the signed return paths of clients that leave them to the operator; the same on all nodes")
	f.StringVar(&s.bounceCert, "bounce-tls-cert", "", "offer STARTTLS to who brings bounces: `FILE` of the certificate, PEM")
	f.StringVar(&s.bounceKey, "bounce-tls-key", "", "`FILE` of its key, PEM")
	return cmd
}

func (a *app) serve(ctx context.Context, s runSettings) error {
	node, err := s.identity()
	if err != nil {
		return err
	}
	if _, err := sender.ParseTLSPolicy(s.tls); err != nil {
		return exit.Usagef("--tls: %w", err)
	}
	node.Turn = queue.Turn(s.turn)
	if node.Turn != queue.Strict && node.Turn != queue.ByDestination {
		return exit.Usagef("--turn %s: it is strict or destination", s.turn)
	}
	if s.smarthost != "" {
		if _, _, err := net.SplitHostPort(s.smarthost); err != nil {
			return exit.Usagef("--smarthost %s: it is HOST:PORT", s.smarthost)
		}
	}
	switch {
	case s.login.User != "" && s.smarthost == "":
		return exit.Usagef("--smarthost-user is for a smarthost: add --smarthost HOST:PORT")
	case s.login.User != "" && s.login.Password == "":
		return exit.Usagef("--smarthost-user %s: its password is missing; put it into ENOTIFY_SMARTHOST_PASSWORD", s.login.User)
	}
	if s.bounceDomain, err = bareDomain("--bounce-domain", s.bounceDomain); err != nil {
		return err
	}
	if s.stateDir == "" {
		if s.stateDir, err = stateDir(); err != nil {
			return err
		}
	}
	if s.publicURL, err = publicBase(s.publicURL); err != nil {
		return err
	}
	databaseURL, stop, err := a.database(ctx)
	if err != nil {
		return err
	}
	defer stop()
	db, err := database.Open(ctx, databaseURL, 8)
	if err != nil {
		return err
	}
	defer db.Close()
	return a.send(ctx, db, node, s, &dns.Resolver{Server: a.resolver})
}

// send wires the parts of a node together and runs them until ctx ends, or
// with untilIdle until nothing is due.
func (a *app) send(ctx context.Context, db *queue.DB, node queue.Node, s runSettings, resolver *dns.Resolver) error {
	log := a.logger().With("node", node.Name)
	monitor, err := newMonitor(db, s.listen, log)
	if err != nil {
		return err
	}
	keys := &keyring{db: db}
	signing, err := keys.load(ctx)
	if err != nil {
		return fmt.Errorf("keys could not be read from the database: %w", err)
	}
	offered, err := certificate(s.bounceCert, s.bounceKey)
	if err != nil {
		return err
	}
	doors, err := listenForReturns(s.bounceListen)
	if err != nil {
		return err
	}
	monitor.pages = &unsubscribes{db: db, open: keys.open, log: log, lookups: rate.NewLimiter(lookupRate, lookupBurst)}
	monitor.base = s.publicURL
	returns := &returns{db: db, keys: keys, monitor: monitor, log: log, doors: doors}
	if err := returns.warn(ctx, s.bounceDomain); err != nil {
		return err
	}
	limits := &throttle.Throttle{}
	encryption, err := sender.ParseTLSPolicy(s.tls)
	if err != nil {
		return err
	}
	mail := &sender.Sender{
		Resolver: resolver, Throttle: limits, HELO: node.HELO, Port: s.smtpPort, Smarthost: s.smarthost, SmarthostLogin: s.login, Bind: bindable(node.Egress),
		TLS: encryption, MaxConnections: s.maxConns, Keys: signing, BounceDomain: s.bounceDomain, PublicURL: s.publicURL, Log: log,
	}
	mail.DKIM.Path = s.dkimDir
	mail.Alerted = func(ctx context.Context, alert queue.Alert) {
		monitor.alert(alert)
		if err := db.Raise(ctx, alert); err != nil {
			log.Warn("an alert did not reach those who listen", "kind", alert.Kind, "error", err)
		}
	}
	server := &engine.Server{
		DB: db, Node: node, Handler: monitor.watch(mail.Deliver), Admission: limits, Memory: limits, Schedule: engine.Schedule{First: s.retryFirst, Max: s.retryMax}, Survey: mail.Survey, MessageTime: mail.MessageTime,
		MaxInFlight: s.maxInFlight, Grace: s.grace, StateDir: s.stateDir, UntilIdle: s.untilIdle, Log: a.logger(), Alerted: monitor.alert,
	}
	guard := &guard{db: db, resolver: resolver.Server, bounceDomain: s.bounceDomain, keys: &mail.DKIM, log: log, wake: make(chan struct{}, 1), every: s.recheck, judged: server.Wake, alert: monitor.alert}
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
	group.Go(func() error { return returns.run(around, node.HELO, offered, s.grace) })
	group.Go(func() error {
		select {
		case <-server.Joined():
			guard.run(around)
		case <-around.Done():
		}
		return nil
	})
	log.Info("started", "egress", node.Egress, "helo", node.HELO, "version", version)
	err = server.Serve(ctx)
	cancel()
	err = errors.Join(err, group.Wait())
	mail.Close()
	log.Info("stopped")
	return err
}

// stateDir is where the journals of this user's nodes are.
func stateDir() (string, error) {
	postgresql, err := localpg.DefaultDir() // beside the private PostgreSQL
	if err != nil {
		return "", fmt.Errorf("no state folder: %w; name one with --state-dir", err)
	}
	return filepath.Join(filepath.Dir(postgresql), "journals"), nil
}

// identity is what the settings say of this node.
func (s runSettings) identity() (queue.Node, error) {
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	node := queue.Node{Name: s.node, HELO: s.helo, Version: version}
	if node.Name == "" {
		node.Name = fmt.Sprintf("%s-%d", host, os.Getpid())
	}
	if node.HELO == "" {
		node.HELO = host
	}
	for _, text := range s.egress {
		ip, err := netip.ParseAddr(strings.TrimSpace(text))
		if err != nil {
			return node, exit.Usagef("--egress %s: not an IP address", text)
		}
		node.Egress = append(node.Egress, ip.Unmap().WithZone(""))
	}
	if len(node.Egress) == 0 {
		if node.Egress, err = publicAddrs(); err != nil {
			return node, err
		}
	}
	return node, nil
}

// publicAddrs are the addresses of this host that receivers can see.
func publicAddrs() ([]netip.Addr, error) {
	own, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("own addresses: %w; name them with --egress", err)
	}
	var public []netip.Addr
	for _, addr := range own {
		prefix, err := netip.ParsePrefix(addr.String())
		if err != nil {
			continue
		}
		ip := prefix.Addr().Unmap()
		if ip.IsGlobalUnicast() && !ip.IsPrivate() && !sharedSpace.Contains(ip) {
			public = append(public, ip)
		}
	}
	if len(public) == 0 {
		return nil, exit.With(exit.Usage, errors.New("this host has no public address, and a guard that does not know what receivers see guards nothing: name the addresses with --egress IP,IP"))
	}
	return public, nil
}

var sharedSpace = netip.MustParsePrefix("100.64.0.0/10") // RFC 6598: behind a carrier's NAT

// bindable are those egress addresses that this host has itself; behind NAT
// there is none, and the system chooses.
func bindable(egress []netip.Addr) []netip.Addr {
	own, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	var here []netip.Addr
	for _, ip := range egress {
		for _, addr := range own {
			if prefix, err := netip.ParsePrefix(addr.String()); err == nil && prefix.Addr().Unmap() == ip {
				here = append(here, ip)
			}
		}
	}
	return here
}
