package node

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"enotify/cmd/enotify/exit"
	"enotify/cmd/enotify/keyring"
	"enotify/queue"
	mail "enotify/sender/bounce/report"
	"enotify/sender/inbound"
	"enotify/sender/token"
)

// returns takes in what comes back, where --bounce-listen says.
type returns struct {
	db      *queue.DB
	keys    *keyring.Keyring
	monitor *monitor
	log     *slog.Logger
	doors   []door
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
			return nil, exit.Usagef("--bounce-listen %s: want HOST:PORT, smtp://HOST:PORT or lmtp://HOST:PORT", addr)
		}
		l, err := net.Listen("tcp", at)
		if err != nil {
			for _, d := range doors {
				_ = d.Close()
			}
			return nil, fmt.Errorf("--bounce-listen %s: %w; give another port, or end what uses it", addr, cmp.Or(errors.Unwrap(err), err))
		}
		doors = append(doors, door{l, scheme == "lmtp"})
	}
	return doors, nil
}

// certificate is that of STARTTLS, nil when there is none.
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

// sweepEvery is how often reports are looked at whose mail has been kept long enough.
const sweepEvery = time.Hour

// warn says which clients a node cannot serve as they are set.
func (r *returns) warn(ctx context.Context, operator string) error {
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
func (r *returns) run(ctx context.Context, name string, offered *tls.Config, grace time.Duration) error {
	var group errgroup.Group
	for _, d := range r.doors {
		server := &inbound.Server{Name: name, LMTP: d.lmtp, TLS: offered, Open: r.keys.Open, Known: r.known, Deliver: r.deliver, Log: r.log}
		r.log.Info("takes in what comes back", "at", d.Addr(), "lmtp", d.lmtp)
		group.Go(func() error { return server.Serve(ctx, d.Listener, grace) })
	}
	group.Go(func() error {
		tick := time.NewTicker(sweepEvery)
		defer tick.Stop()
		for {
			if _, err := r.db.ForgetReports(ctx); err != nil && ctx.Err() == nil {
				r.log.Warn("old reports were not forgotten", "error", err)
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

func (r *returns) known(ctx context.Context, s token.Subject) error {
	_, err := r.db.Addressee(ctx, s.Batch, s.Seq)
	return nobody(err)
}

// nobody tells package inbound what queue.ErrNotFound means.
func nobody(err error) error {
	if errors.Is(err, queue.ErrNotFound) {
		return fmt.Errorf("%w: %w", inbound.ErrNobody, err)
	}
	return err
}

func (r *returns) deliver(ctx context.Context, m inbound.Mail) error {
	log := r.log.With("batch", m.Subject.Batch, "seq", m.Subject.Seq)
	if m.To == token.Unsubscribe {
		who, err := r.db.Unsubscribe(ctx, m.Subject.Batch, m.Subject.Seq, "by mail")
		if err == nil {
			log.Info("unsubscribed by mail", "client", who.Client)
			r.monitor.reports.WithLabelValues("unsubscribe", "").Inc()
		}
		return nobody(err)
	}
	who, err := r.db.Addressee(ctx, m.Subject.Batch, m.Subject.Seq)
	if err != nil {
		return nobody(err)
	}
	report := ReportOn(m.Subject, who.Address, mail.Read(m.Data), m.Data)
	report.Signed, report.Via = true, queue.ViaListener
	done, err := r.db.RecordReport(ctx, report)
	if err != nil {
		return nobody(err)
	}
	for _, a := range done.Alerts {
		r.monitor.alert(a)
	}
	log.Info("a report came back", "kind", report.Kind, "class", report.Class, "was", done.Was, "known", done.Known, "client", who.Client)
	if !done.Known {
		r.monitor.reports.WithLabelValues(string(report.Kind), string(report.Class)).Inc()
	}
	return nil
}

// ReportOn is what a mail says of a recipient, whom it may call by another
// address when mail is forwarded.
func ReportOn(about token.Subject, address string, said mail.Report, raw []byte) queue.Report {
	r := queue.Report{Batch: about.Batch, Seq: about.Seq, Kind: queue.ReportKind(said.Kind), ID: said.MessageID, Raw: raw[:min(len(raw), mail.MaxBytes)]}
	if who := recipientOf(said, address); who != nil {
		r.Class, r.Treatment, r.Reply, r.Host = who.Verdict.Class, who.Verdict.Exception(), who.Reply, who.Reported
		switch { // others of the report may have failed
		case said.Kind == mail.Bounce && who.Action == "delayed":
			r.Kind = queue.ReportDelay
		case said.Kind == mail.Bounce && who.Action != "failed":
			r.Kind = queue.ReportOther
		}
	}
	if r.Class == "" && (r.Kind == queue.ReportBounce || r.Kind == queue.ReportExpired) {
		r.Class = queue.Other
	}
	return r
}

// recipientOf is the one of a report's recipients that has an address, or else
// the first that failed, or else the first.
func recipientOf(said mail.Report, address string) (found *mail.Recipient) {
	for i := range said.Recipients {
		who := &said.Recipients[i]
		switch {
		case address != "" && (strings.EqualFold(who.Address, address) || strings.EqualFold(who.Was, address)):
			return who
		case found == nil, who.Action == "failed" && found.Action != "failed":
			found = who
		}
	}
	return found
}
