package node

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"enotify/cmd/enotify/exit"
	"enotify/cmd/enotify/keyring"
	"enotify/cmd/enotify/listen"
	"enotify/queue"
	"enotify/sender/bounce/report"
	"enotify/sender/inbound"
	"enotify/sender/returns"
)

// comebacks listen for mail that comes back, where --bounce-listen says.
type comebacks struct {
	reader  report.Reader
	db      *queue.DB
	keys    *keyring.Keyring
	monitor *monitor
	log     *slog.Logger
	doors   []door
	offered *tls.Config // for STARTTLS; nil: none
	fixed   []string    // addresses of feedback loops
}

// comebacks listens where the node is told to.
func (c Config) comebacks(ctx context.Context, db *queue.DB, keys *keyring.Keyring, m *monitor,
	log *slog.Logger) (*comebacks, error) {
	offered, err := certificate(c.BounceCert, c.BounceKey)
	if err != nil {
		return nil, err
	}
	doors, err := listenForReturns(c.BounceListen)
	if err != nil {
		return nil, err
	}
	r := &comebacks{db: db, keys: keys, monitor: m, log: log, doors: doors, offered: offered, fixed: c.Feedback,
		reader: report.Reader{Rules: c.rules}}
	if err := r.warn(ctx, c.BounceDomain); err != nil {
		closeAll(doors)
		return nil, err
	}
	return r, nil
}

// A door is one of the addresses that take mail in.
type door struct {
	net.Listener
	lmtp bool
}

// listenForReturns takes the addresses at once, so that a port in use is known
// before anything is sent.
func listenForReturns(addrs []string) (doors []door, err error) {
	for _, addr := range addrs {
		scheme, at, ok := strings.Cut(addr, "://")
		if !ok {
			scheme, at = "smtp", addr
		}
		if scheme != "smtp" && scheme != "lmtp" {
			closeAll(doors)
			return nil, exit.Usagef("--bounce-listen %s: want HOST:PORT, smtp://HOST:PORT or lmtp://HOST:PORT", addr)
		}
		l, err := listen.At("--bounce-listen", at)
		if err != nil {
			closeAll(doors)
			return nil, err
		}
		doors = append(doors, door{l, scheme == "lmtp"})
	}
	return doors, nil
}

func closeAll(doors []door) {
	for _, d := range doors {
		_ = d.Close()
	}
}

// certificate is the certificate for STARTTLS, nil when there is none.
func certificate(cert, key string) (*tls.Config, error) {
	if cert == "" && key == "" {
		return nil, nil
	}
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return nil, exit.Usagef("--bounce-tls-cert and --bounce-tls-key: %w", err)
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}, nil
}

// sweepEvery is how often clients are looked at that have become bulk senders.
const sweepEvery = time.Hour

// warn says which clients a node cannot serve as they are set.
func (r *comebacks) warn(ctx context.Context, operator string) error {
	clients, err := r.db.Clients(ctx)
	for _, c := range clients {
		if c.Bounce == queue.BounceOperator && operator == "" {
			r.log.Warn("a client leaves its bounces to the operator, but this node has no domain for them: its mail goes out with its own return path", "client", c.Domain,
				"next", "enotify run --bounce-domain NAME, on every node")
		}
	}
	return err
}

// run takes mail in until ctx ends.
func (r *comebacks) run(ctx context.Context, name string, grace time.Duration) error {
	var group errgroup.Group
	desk := &returns.Desk{Queue: r.db, Open: r.keys.Open, Reader: r.reader, Taken: r.taken}
	for _, d := range r.doors {
		server := &inbound.Server{Name: name, LMTP: d.lmtp, TLS: r.offered, Feedback: r.fixed, Open: desk.Open,
			Known: desk.Known, Deliver: desk.Deliver, Log: r.log}
		r.log.Info("accepts returned mail", "at", d.Addr(), "lmtp", d.lmtp)
		group.Go(func() error { return server.Serve(ctx, d.Listener, grace) })
	}
	group.Go(func() error {
		tick := time.NewTicker(sweepEvery)
		defer tick.Stop()
		for {
			if err := r.db.NoteBulkSenders(ctx); err != nil && ctx.Err() == nil {
				r.log.Warn("bulk senders were not noted; tried again in an hour", "error", err)
			}
			select {
			case <-ctx.Done():
				return nil
			case <-tick.C:
			}
		}
	})
	return group.Wait()
}

// taken logs and counts a mail that was recorded.
func (r *comebacks) taken(t returns.Taken) {
	if t.About.How == "" { // as the mail with which a provider confirms the address of a loop
		r.log.Warn("mail at a feedback address is about no message of ours: nothing was recorded", "kind", t.Said.Kind,
			"message_id", t.Said.MessageID, "subject", t.Said.Subject)
		r.monitor.reports.WithLabelValues("unmatched", "").Inc()
		return
	}
	about := t.About.Subject
	log := r.log.With("batch", about.Batch, "message", queue.MessageName(about.Batch, about.Seq), "client", t.Client)
	if t.Unsubscribed() {
		log.Info("unsubscribed by mail")
		r.monitor.reports.WithLabelValues("unsubscribe", "").Inc()
		return
	}
	for _, a := range t.Recorded.Alerts {
		r.monitor.alert(a)
	}
	log.Info("a report came back", "kind", t.Report.Kind, "class", t.Report.Class, "was", t.Recorded.Was, "known",
		t.Recorded.Known)
	if !t.Recorded.Known {
		r.monitor.reports.WithLabelValues(string(t.Report.Kind), string(t.Report.Class)).Inc()
	}
}
