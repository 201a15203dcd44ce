package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sync/errgroup"

	"enotify/cmd/enotify/listen"
	"enotify/cmd/enotify/unsubscribe"
	"enotify/queue"
)

// A monitor tells other programs how this node is: /healthz and /metrics. It
// asks for no login, so it never shows an address.
type monitor struct {
	*metrics
	db       *queue.DB
	listener net.Listener // nil without --listen
	public   net.Listener // of the unsubscribe page; nil: it is served by listener
	log      *slog.Logger

	pages *unsubscribe.Page // nil: not served
	base  string            // --public-url
}

// newMonitor takes the addresses at once, so that a port in use is known before
// anything is sent. With addr "" it only counts.
func newMonitor(db *queue.DB, addr, public, version string, log *slog.Logger) (m *monitor, err error) {
	m = &monitor{metrics: newMetrics(version), db: db, log: log}
	if addr != "" {
		if m.listener, err = listen.At("--listen", addr); err != nil {
			return nil, err
		}
	}
	if public != "" {
		if m.public, err = listen.At("--unsubscribe-listen", public); err != nil {
			m.close()
			return nil, err
		}
	}
	return m, nil
}

// close gives the addresses back.
func (m *monitor) close() {
	for _, l := range []net.Listener{m.listener, m.public} {
		if l != nil {
			_ = l.Close()
		}
	}
}

// alert logs and counts an alert of the database.
func (m *monitor) alert(a queue.Alert) {
	m.alerts.WithLabelValues(a.Kind).Inc()
	attrs := []any{"kind", a.Kind}
	for _, f := range []struct{ key, value string }{{"client", a.Client}, {"site", a.Site}} {
		if f.value != "" {
			attrs = append(attrs, f.key, f.value)
		}
	}
	if a.Batch != 0 {
		attrs = append(attrs, "batch", a.Batch)
	}
	m.log.Warn("alert", append(attrs, "text", a.Text, "next", a.Next)...)
}

// run serves until ctx ends.
func (m *monitor) run(ctx context.Context) error {
	private, public := http.NewServeMux(), http.NewServeMux()
	private.Handle("GET /metrics", promhttp.HandlerFor(m.registry,
		promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError}))
	private.HandleFunc("GET /healthz", m.health)
	if m.public == nil {
		public = private
	}
	if m.pages != nil {
		m.pages.Register(public, m.base)
	}
	var group errgroup.Group
	group.Go(func() error { return serve(ctx, "--listen", m.listener, private) })
	group.Go(func() error { return serve(ctx, "--unsubscribe-listen", m.public, public) })
	return group.Wait()
}

// bounds of connections: strangers shall not use up the files that the sending needs. A
// proxy in front of us has the connections of all readers. What is asked here is answered
// in milliseconds.
var bounds = listen.Bounds{Most: 500, OfOne: 400, Patience: 2 * time.Second}

// serve serves at a listener, if there is one, until ctx ends.
func serve(ctx context.Context, flag string, l net.Listener, handler http.Handler) error {
	if l == nil {
		return nil
	}
	bounded := listen.Bound(l, bounds)
	server := &http.Server{Handler: handler, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second,
		IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10, ConnState: bounded.State}
	stop := context.AfterFunc(ctx, func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		_ = server.Shutdown(ctx)
	})
	defer stop()
	if err := server.Serve(bounded); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("%s: %w", flag, err)
	}
	return nil
}

// health is 200 while the database answers, 503 while it does not.
func (m *monitor) health(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
	defer cancel()
	if err := m.db.Ping(ctx); err != nil {
		http.Error(w, "the database does not answer", http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ok")
}
