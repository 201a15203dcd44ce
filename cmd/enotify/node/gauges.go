package node

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"enotify/queue/engine"
	"enotify/queue/insight"
	"enotify/sender"
	"enotify/spfguard/dns"
)

const (
	// lookEvery is how old what was seen of the queue may be: however often this node
	// is scraped, the database is asked no oftener. A look that took long is not
	// repeated before lookRest times as long.
	lookEvery = time.Second
	lookRest  = 20
	// complaintsEvery is the same of complaints, which is the longest look.
	complaintsEvery = time.Minute
	lookTime        = 5 * time.Second // that the database may take
)

// A look is what was seen last, and when it may be looked again.
type look[T any] struct {
	every time.Duration
	ask   func(context.Context) (T, error)

	mu    sync.Mutex
	value T
	err   error
	next  time.Time
}

// get returns what was seen within every. Callers at the same time wait for one look.
func (l *look[T]) get() (T, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now := time.Now(); !now.Before(l.next) {
		ctx, cancel := context.WithTimeout(context.Background(), lookTime)
		l.value, l.err = l.ask(ctx)
		cancel()
		l.next = time.Now().Add(max(l.every, lookRest*time.Since(now)))
	}
	return l.value, l.err
}

// A complaints is the rate of complaints within a day.
type complaints struct{ all, worst float64 }

// gauges are what a scrape looks at: the queue, and the parts of this node.
type gauges struct {
	queue      look[insight.Gauges]
	complaints look[complaints]
	server     *engine.Server
	mail       *sender.Sender
	resolver   *dns.Resolver
}

func newGauges(p *parts) *gauges {
	return &gauges{
		queue: look[insight.Gauges]{every: lookEvery, ask: insight.Of(p.db).Gauges},
		complaints: look[complaints]{every: complaintsEvery, ask: func(ctx context.Context) (c complaints, err error) {
			c.all, c.worst, err = insight.Of(p.db).ComplaintRatio(ctx)
			return c, err
		}},
		server: p.server, mail: p.mail, resolver: p.mail.Resolver,
	}
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

// What is of the queue is the same at every node: use max over them, not sum.
var (
	upDesc      = desc("enotify_database_up", "1 while the database answers this node.")
	batchesDesc = desc("enotify_batches", "Batches that are not finished, by state; the same at every node.", "state")
	depthDesc   = desc("enotify_recipients",
		"Recipients that wait: pending for their first try, deferred for another one; the same at every node.", "state",
		"class")
	oldestDesc = desc("enotify_oldest_deferred_seconds",
		"Time since the oldest deferred recipient was first deferred; the same at every node.", "class")
	blockedDesc = desc("enotify_blocked_clients", "Clients that the guard stops; the same at every node.")
	holdsDesc   = desc("enotify_held_sites",
		"Sites that are left alone since they block an address of ours; the same at every node.")
	slowedDesc = desc("enotify_slowed_sites",
		"Sites that get mail more slowly since they asked for it; the same at every node.")
	lostDesc = desc("enotify_dead_nodes",
		"Nodes that died and whose journal nobody has read yet; the same at every node.")
	ratioDesc = desc("enotify_complaint_ratio",
		"Complaints by accepted messages of batches that began within a day: of all clients, and of the worst with 1,000 messages.", "of")
	flightDesc = desc("enotify_in_flight_messages", "Messages begun and not recorded.")
	queuedDesc = desc("enotify_unwritten_outcomes", "Outcomes that wait for the database.")
	groupsDesc = desc("enotify_lease_groups", "Lease groups of recipient domains that this node holds, of 64.")
	leaseDesc  = desc("enotify_lease_age_seconds",
		"Time since this node renewed its leases; after 5 seconds another node may take them.")
	journalDesc = desc("enotify_journal_bytes", "Size of the journal of this node.")
	connDesc    = desc("enotify_connections",
		"SMTP connections by state; slow ones have waited over a second for an answer.", "state")
	dnsDesc      = desc("enotify_dns_questions_total", "Questions to the DNS by how they were answered.", "answer")
	dnsEntryDesc = desc("enotify_dns_cache_entries", "DNS answers remembered.")
)

// Describe is that of [prometheus.Collector].
func (g *gauges) Describe(c chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		upDesc, batchesDesc, depthDesc, oldestDesc, blockedDesc, holdsDesc, slowedDesc, lostDesc, ratioDesc, flightDesc,
		queuedDesc, groupsDesc, leaseDesc,
		journalDesc, connDesc, dnsDesc, dnsEntryDesc,
	} {
		c <- d
	}
}

// Collect is that of [prometheus.Collector].
func (g *gauges) Collect(c chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		c <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	g.collectQueue(gauge)
	if s, ok := g.server.Stats(); ok {
		gauge(flightDesc, float64(s.InFlight))
		gauge(queuedDesc, float64(s.Unwritten))
		gauge(groupsDesc, float64(s.Groups))
		gauge(leaseDesc, s.LeaseAge.Seconds())
		gauge(journalDesc, float64(s.Journal))
	}
	conns := g.mail.Connections()
	gauge(connDesc, float64(conns.Moving), "moving")
	gauge(connDesc, float64(conns.Slow), "slow")
	gauge(connDesc, float64(conns.Idle), "idle")
	asked := g.resolver.Stats()
	gauge(dnsEntryDesc, float64(asked.Entries))
	for answer, n := range map[string]uint64{"cached": asked.Cached, "asked": asked.Asked - asked.Failed,
		"failed": asked.Failed} {
		c <- prometheus.MustNewConstMetric(dnsDesc, prometheus.CounterValue, float64(n), answer)
	}
}

// collectQueue tells nothing of the queue while the database does not answer.
func (g *gauges) collectQueue(gauge func(d *prometheus.Desc, v float64, labels ...string)) {
	q, err := g.queue.get()
	if err != nil {
		gauge(upDesc, 0)
		return
	}
	gauge(upDesc, 1)
	for state, n := range q.Batches {
		gauge(batchesDesc, float64(n), state)
	}
	gauge(depthDesc, float64(q.Pending), "pending", "")
	var oldest time.Duration
	for class, n := range q.Deferred {
		gauge(depthDesc, float64(n), "deferred", string(class))
		gauge(oldestDesc, q.Oldest[class].Seconds(), string(class))
		oldest = max(oldest, q.Oldest[class])
	}
	gauge(oldestDesc, oldest.Seconds(), "all")
	gauge(blockedDesc, float64(q.Blocked))
	gauge(holdsDesc, float64(q.Holds))
	gauge(slowedDesc, float64(q.Slowed))
	gauge(lostDesc, float64(q.Lost))
	if ratio, err := g.complaints.get(); err == nil {
		gauge(ratioDesc, ratio.all, "all")
		gauge(ratioDesc, ratio.worst, "worst")
	}
}
