package node

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"enotify/queue"
	"enotify/sender"
	"enotify/sender/throttle"
)

// metrics are what a node counts as it works. Their labels are bounded: the largest
// sites have one of their own, the others share "other".
type metrics struct {
	registry *prometheus.Registry
	labels   siteLabels

	attempts *prometheus.CounterVec
	replies  *prometheus.CounterVec
	seconds  prometheus.Histogram
	phases   map[sender.Phase]prometheus.Observer // looked up once, not several times a message
	latency  prometheus.Histogram
	waits    *prometheus.CounterVec
	waited   prometheus.Counter
	flushes  prometheus.Histogram
	flushed  prometheus.Counter
	verdicts *prometheus.CounterVec
	reports  *prometheus.CounterVec
	alerts   *prometheus.CounterVec
	sessions *prometheus.CounterVec
}

func newMetrics(version string) *metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	m := &metrics{
		registry: prometheus.NewRegistry(),
		attempts: counter("enotify_attempts_total",
			"Tries by their outcome, the class of the refusal and the site; small sites are \"other\".", "state",
			"class", "site"),
		replies: counter("enotify_replies_total",
			"Replies of receivers that were no acceptance, by SMTP code; small sites are \"other\".", "code", "site"),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "enotify_attempt_seconds", Help: "Time of a try, the wait for a connection included.",
			Buckets: prometheus.ExponentialBuckets(0.001, 4, 10),
		}),
		phases: map[sender.Phase]prometheus.Observer{},
		latency: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "enotify_delivery_seconds",
			Help:    "Time from the start of a batch to the acceptance of a message of it.",
			Buckets: []float64{1, 5, 15, 60, 300, 900, 3600, 3 * 3600, 12 * 3600, 24 * 3600, 72 * 3600},
		}),
		waits: counter("enotify_throttle_waits_total",
			"Times that a recipient domain with mail had to wait, by reason: its rate, or a free connection of its site.", "reason"),
		waited: prometheus.NewCounter(prometheus.CounterOpts{Name: "enotify_throttle_wait_seconds_total",
			Help: "Time that the waits for a rate were to last, over all recipient domains."}),
		flushes: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "enotify_flush_seconds",
			Help:    "Time of a transaction that records outcomes.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 14)}),
		flushed: prometheus.NewCounter(prometheus.CounterOpts{Name: "enotify_flushed_total",
			Help: "Outcomes recorded."}),
		verdicts: counter("enotify_guard_verdicts_total", "Results of the guard's checks of clients.", "identity",
			"result", "blocks"),
		reports: counter("enotify_reports_total", "Mail that came back and was recorded, by what it is and why.",
			"kind", "class"),
		alerts: counter("enotify_alerts_total",
			"Facts that this node recorded and that somebody should act on, by kind; LISTEN enotify_alert tells them in words.", "kind"),
		sessions: counter("enotify_tls_sessions_total",
			"Connections to mail hosts by the kind of the policy for their encryption, and by how that ended, in the words of RFC 8460.", "policy", "result"),
	}
	for _, kind := range queue.AlertKinds {
		m.alerts.WithLabelValues(kind) // from 0, so that the first one is an increase
	}
	phases := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "enotify_smtp_phase_seconds", Help: "Time of the phases of a try.",
		Buckets: prometheus.ExponentialBuckets(0.001, 4, 10),
	}, []string{"phase"})
	for _, phase := range []sender.Phase{
		sender.PhaseRoute, sender.PhaseWait, sender.PhaseConnect, sender.PhaseGreet, sender.PhaseTLS,
		sender.PhaseEnvelope, sender.PhaseContent, sender.PhaseConfirm,
	} {
		m.phases[phase] = phases.WithLabelValues(string(phase))
	}
	m.reports.WithLabelValues(string(queue.ReportComplaint), "")
	m.waits.WithLabelValues("rate")
	m.waits.WithLabelValues("connection")
	build := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "enotify_build_info",
		Help: "1; the label has the version."}, []string{"version"})
	build.WithLabelValues(version).Set(1)
	m.registry.MustRegister(
		m.attempts, m.replies, m.seconds, phases, m.latency, m.waits, m.waited, m.flushes, m.flushed, m.verdicts,
		m.reports, m.alerts, m.sessions, build,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return m
}

// attempt takes how a try ended, and how long it took.
func (m *metrics) attempt(b *queue.Batch, o *queue.Outcome, took time.Duration) {
	site := m.labels.of(o.Site)
	m.attempts.WithLabelValues(string(o.State), string(o.Class), site).Inc()
	m.seconds.Observe(took.Seconds())
	switch {
	case o.State == queue.Delivered && !b.StartedAt.IsZero():
		m.latency.Observe(max(0, time.Since(b.StartedAt).Seconds()))
	case o.State != queue.Delivered && o.Reply.Code != 0:
		m.replies.WithLabelValues(strconv.Itoa(o.Reply.Code), site).Inc()
	}
}

// phase takes how long a phase of a try took.
func (m *metrics) phase(p sender.Phase, took time.Duration) {
	m.phases[p].Observe(took.Seconds())
}

// tlsSession takes how the encryption of a connection ended.
func (m *metrics) tlsSession(policy, result string) {
	m.sessions.WithLabelValues(policy, result).Inc()
}

// flush takes a transaction that recorded outcomes.
func (m *metrics) flush(outcomes int, took time.Duration) {
	m.flushes.Observe(took.Seconds())
	m.flushed.Add(float64(outcomes))
}

// judged takes the verdicts on a client.
func (m *metrics) judged(verdicts []queue.Verdict) {
	for _, v := range verdicts {
		m.verdicts.WithLabelValues(v.Identity, v.Result, strconv.FormatBool(v.Blocks)).Inc()
	}
}

// A pacer is the throttle, and counts what it makes wait.
type pacer struct {
	*throttle.Throttle
	metrics *metrics
}

// Admit is that of [throttle.Throttle].
func (p pacer) Admit(domain string, want int, now time.Time) (int, queue.Wait) {
	n, w := p.Throttle.Admit(domain, want, now)
	p.count(n, want, w, now)
	return n, w
}

// AdmitUrgent is that of [throttle.Throttle].
func (p pacer) AdmitUrgent(domain string, want int, now time.Time) (int, queue.Wait) {
	n, w := p.Throttle.AdmitUrgent(domain, want, now)
	p.count(n, want, w, now)
	return n, w
}

func (p pacer) count(n, want int, w queue.Wait, now time.Time) {
	switch {
	case n == want:
	case w.Site != "":
		p.metrics.waits.WithLabelValues("connection").Inc()
	case !w.Until.IsZero():
		p.metrics.waits.WithLabelValues("rate").Inc()
		p.metrics.waited.Add(max(0, w.Until.Sub(now).Seconds()))
	}
}
