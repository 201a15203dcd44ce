package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"enotify/cmd/enotify/unsubscribe"
	"enotify/queue"
)

// A monitor tells other programs how this node is: /healthz and /metrics. It
// asks for no login, so it shows numbers and never an address or a domain.
type monitor struct {
	db       *queue.DB
	listener net.Listener // nil: nobody listens
	registry *prometheus.Registry
	attempts *prometheus.CounterVec
	seconds  prometheus.Histogram
	reports  *prometheus.CounterVec
	alerts   *prometheus.CounterVec
	log      *slog.Logger

	pages *unsubscribe.Page // served beside the rest; nil: not
	base  string            // --public-url
}

// newMonitor takes the address at once, so that a port in use is known before
// anything is sent. With addr "" it only counts.
func newMonitor(db *queue.DB, addr string, log *slog.Logger) (*monitor, error) {
	m := &monitor{
		db:       db,
		log:      log,
		registry: prometheus.NewRegistry(),
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "enotify_attempts_total", Help: "SMTP attempts by their outcome, and by the class of the refusal.",
		}, []string{"state", "class"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "enotify_attempt_seconds", Help: "Time of an attempt, the wait for a connection included.", Buckets: prometheus.ExponentialBuckets(0.001, 4, 10),
		}),
		reports: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "enotify_reports_total", Help: "Mail that came back and was recorded, by what it is and why.",
		}, []string{"kind", "class"}),
		alerts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "enotify_alerts_total", Help: "Facts that this node recorded and that somebody should act on, by kind; LISTEN enotify_alert tells them in words.",
		}, []string{"kind"}),
	}
	m.registry.MustRegister(m.attempts, m.seconds, m.alerts, m.reports, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), batchGauge{db})
	if addr == "" {
		return m, nil
	}
	var err error
	m.listener, err = listenAt("--listen", addr)
	return m, err
}

// watch counts what a handler does.
func (m *monitor) watch(handle queue.Handler) queue.Handler {
	return func(ctx context.Context, msg queue.Message) queue.Outcome {
		start := time.Now()
		o := handle(ctx, msg)
		m.attempts.WithLabelValues(string(o.State), string(o.Class)).Inc()
		m.seconds.Observe(time.Since(start).Seconds())
		return o
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
	if m.listener == nil {
		return nil
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError}))
	mux.HandleFunc("GET /healthz", m.health)
	if m.pages != nil {
		m.pages.Register(mux, m.base)
	}
	server := &http.Server{Handler: mux, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10}
	stop := context.AfterFunc(ctx, func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		_ = server.Shutdown(ctx)
	})
	defer stop()
	if err := server.Serve(m.listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("--listen: %w", err)
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

// batchGauge counts the batches by state whenever it is asked.
type batchGauge struct{ db *queue.DB }

var batchesDesc = prometheus.NewDesc("enotify_batches", "Batches that are not finished, by state.", []string{"state"}, nil)

func (batchGauge) Describe(c chan<- *prometheus.Desc) { c <- batchesDesc }

func (g batchGauge) Collect(c chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	counts, err := g.db.OpenBatches(ctx)
	if err != nil {
		c <- prometheus.NewInvalidMetric(batchesDesc, err)
		return
	}
	for state, n := range counts {
		c <- prometheus.MustNewConstMetric(batchesDesc, prometheus.GaugeValue, float64(n), state)
	}
}
