// Package sitetest is an installation for tests: a database, a made-up internet of
// one receiver, a client, and nodes, in the test's process or in ones of their
// own. Only tests import it.
package sitetest

import (
	"context"
	"net/netip"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"enotify/cmd/enotify/node"
	"enotify/queue"
	"enotify/queue/queuetest"
	"enotify/sender/smtptest"
	"enotify/spfguard/dns/dnstest"
)

// A Site is a database, an internet of one receiver for all domains, and the
// client town.example, whose record authorises [Egress]. To the sender the
// domains in .test are one site, those in .alone one each.
type Site struct {
	testing.TB
	URL  string // of the database
	Conn *pgx.Conn
	DNS  *dnstest.Server
	SMTP *smtptest.Server
	Home string // of every process
}

// Egress is the address that the client's record authorises.
var Egress = netip.MustParseAddr("192.0.2.10")

const zone = `
town.example.  TXT "v=spf1 ip4:192.0.2.10 -all"
mx.test.       A   127.0.0.1
*.test.        MX  10 mx.test.
*.alone.       A   127.0.0.1
`

// New is a site with a database of its own.
func New(tb testing.TB, receiver smtptest.Config) *Site {
	tb.Helper()
	return On(tb, queuetest.New(tb), receiver)
}

// On is a site on a migrated database.
func On(tb testing.TB, url string, receiver smtptest.Config) *Site {
	tb.Helper()
	s := &Site{TB: tb, URL: url, Home: tb.TempDir(), DNS: dnstest.New(tb, zone)}
	var err error
	if s.SMTP, err = smtptest.Start(receiver); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { s.SMTP.Close() })
	if s.Conn, err = pgx.Connect(tb.Context(), url); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { s.Conn.Close(context.Background()) })
	db, err := queue.Open(tb.Context(), url, 1)
	if err != nil {
		tb.Fatal(err)
	}
	defer db.Close()
	if _, _, err := db.AddClient(tb.Context(), "town.example", nil); err != nil {
		tb.Fatal(err)
	}
	if err := db.SetDestination(tb.Context(),
		queue.Destination{Name: "*", Rate: &queue.Rate{Messages: 0, Per: time.Second}, Connections: 20}); err != nil {
		tb.Fatal(err)
	}
	return s
}

// Exec runs a statement.
func (s *Site) Exec(sql string, args ...any) {
	s.Helper()
	if _, err := s.Conn.Exec(s.Context(), sql, args...); err != nil {
		s.Fatalf("%s: %v", sql, err)
	}
}

// Ask runs a query of one value.
func Ask[T any](s *Site, sql string, args ...any) (v T) {
	s.Helper()
	if err := s.Conn.QueryRow(s.Context(), sql, args...).Scan(&v); err != nil {
		s.Fatalf("%s: %v", sql, err)
	}
	return v
}

// Until waits for a query to say true, and fails the test when it does not in five minutes:
// a test that hangs until all of them time out does not tell where.
func (s *Site) Until(sql string, args ...any) {
	s.Helper()
	for giveUp := time.Now().Add(5 * time.Minute); !Ask[bool](s, sql, args...); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(giveUp) {
			s.Fatalf("not in five minutes: %s with %v", sql, args)
		}
	}
}

// Enqueue submits a batch to n recipients over so many domains.
func (s *Site) Enqueue(key, body string, n, domains int) int64 {
	s.Helper()
	return Ask[int64](s, `SELECT enotify.enqueue($1, 'info@town.example', 'Lunch menu', $2,
		ARRAY(SELECT format('user%s@d%s.test', i, i % $4) FROM generate_series(1, $3) i))`, key, body, n, domains)
}

// States is how the recipients of a batch stand, as "delivered 5, unknown 2".
func (s *Site) States(batch int64) string {
	s.Helper()
	return Ask[string](s, `SELECT string_agg(format('%s %s', state, n), ', ' ORDER BY state)
		FROM (SELECT state, count(*) AS n FROM enotify.delivery WHERE batch_id = $1 GROUP BY state) d`, batch)
}

// Node is the configuration of a node of the site, with a journal.
func (s *Site) Node() node.Config {
	s.Helper()
	return node.Config{
		DatabaseURL: s.URL, Resolver: s.DNS.Addr, SMTPPort: s.port(),
		AllowMX: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Egress: []netip.Addr{Egress},
		HELO:     "mail.host.example",
		StateDir: filepath.Join(s.Home, "journals"), Grace: 5 * time.Second,
	}
}

// Serve runs a node in this process until the test ends, or stop is called.
// What it returns is an error of the test.
func (s *Site) Serve(c node.Config) (stop func()) {
	s.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(s.Context()))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := node.Run(ctx, c); err != nil {
			s.Errorf("node: %v", err)
		}
	}()
	stop = func() { cancel(); <-ended }
	s.Cleanup(stop)
	return stop
}

// port is the receiver's port.
func (s *Site) port() int {
	s.Helper()
	at, err := netip.ParseAddrPort(s.SMTP.Addr)
	if err != nil {
		s.Fatal(err)
	}
	return int(at.Port())
}

func (s *Site) portText() string { return strconv.Itoa(s.port()) }
