package node

import (
	"cmp"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net/mail"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"enotify/cmd/enotify/console"
	"enotify/cmd/enotify/exit"
	"enotify/cmd/enotify/settings"
	"enotify/cmd/enotify/unsubscribe"
	"enotify/queue"
	"enotify/queue/engine"
	"enotify/queue/localpg"
	"enotify/sender"
	"enotify/sender/bounce"
	"enotify/spfguard"
)

// A Config is what a node is told. Its errors call the fields by the flags of
// enotify run.
type Config struct {
	// DatabaseURL is where the queue is; "" starts a private PostgreSQL.
	DatabaseURL string
	// Resolver is the DNS server, HOST:PORT; "" is the system's.
	Resolver string

	// DNSSECResolver is a DNS server, HOST:PORT, that validates and whose answers
	// nobody can change on the way; it is asked for recipient domains, with DANE.
	// "" asks Resolver, without.
	DNSSECResolver string

	// Name is the node's name; "" is the host's name with the process id.
	Name string
	// HELO is our name at EHLO; "" is the host's.
	HELO string
	// Egress are the addresses that receivers see; none are the host's public ones.
	Egress []netip.Addr
	// EgressPrivate lets Egress hold addresses that no receiver on the internet sees.
	EgressPrivate bool
	// Turn says when the next batch may begin; "" is [queue.Strict].
	Turn queue.Turn
	// StateDir is the folder of the journal, on a disk that outlives the process;
	// "" is no journal. See [StateDir].
	StateDir string
	// RequireDurable refuses a database that may forget what it has committed;
	// see [queue.DB.Durability].
	RequireDurable bool

	// SMTPPort is where receivers listen; 0 is 25.
	SMTPPort int
	// AllowMX are networks where receivers may be though they are none of the
	// public internet, or our own; see [sender.Sender].
	AllowMX []netip.Prefix
	// HTTPSPort is where MTA-STS policy hosts listen; 0 is 443.
	HTTPSPort int
	// RootCAs vouch for policy hosts, and for mail hosts where certificates count;
	// nil are the system's.
	RootCAs *x509.CertPool
	// Smarthost is the HOST:PORT that gets everything; "" is none.
	Smarthost string
	// Login is for the smarthost.
	Login sender.Login
	// TLS is opportunistic, required or verified; "" is opportunistic.
	TLS string
	// DKIMDir holds the DKIM keys, DIR/DOMAIN/SELECTOR.pem; "" is none.
	DKIMDir string
	// TLSReportFrom is the address from which recipient domains get the reports on
	// TLS that they ask for (RFC 8460); "" sends none. Its domain is a client.
	TLSReportFrom string
	// Schedule is the schedule of retries.
	Schedule engine.Schedule
	// MaxInFlight messages may have begun and not be recorded; 0 is 2000.
	MaxInFlight int
	// MaxConnections may be open at once, beside twice as many that wait long for a
	// receiver, or 500 if that is more; 0 is 750, or less where the system allows few open files.
	MaxConnections int
	// Grace is what transactions under way get to finish once the node is to end.
	Grace time.Duration
	// UntilIdle has the node end when nothing is due.
	UntilIdle bool
	// Recheck is how often the SPF record of a client that sends nothing is
	// looked at; 0 is every 6 hours.
	Recheck time.Duration

	// Listen is the address of /healthz and /metrics, and of the unsubscribe page
	// where that has none of its own; "" is none.
	Listen string
	// UnsubscribeListen is the address of the unsubscribe page alone; "" is Listen.
	UnsubscribeListen string
	// FeedbackID is our name in Feedback-ID; "" is enotify.
	FeedbackID string
	// PublicURL is where readers reach the unsubscribe page, https; "" is nowhere.
	PublicURL string
	// UnsubscribeWords is a file with what the unsubscribe page says in languages of
	// the operator's own; "" is none. See [unsubscribe.Load].
	UnsubscribeWords string

	// Submit is the address that takes batches over HTTP; "" is none.
	Submit string
	// SubmitCert and SubmitKey are PEM files, for TLS there; "" is none, at a loopback
	// address only.
	SubmitCert, SubmitKey string

	// AllowWebhook are networks where receivers of events may be though they are none
	// of the public internet; see [webhook.Runner].
	AllowWebhook []netip.Prefix

	// BounceRules is a file with rules of the operator's own for replies; "" is
	// none. See [bounce.Override].
	BounceRules string
	// BounceListen are addresses that take mail that came back: HOST:PORT,
	// smtp://HOST:PORT or lmtp://HOST:PORT.
	BounceListen []string
	// BounceDomain is the domain of the signed return paths of clients that leave them
	// to the operator; "" is none.
	BounceDomain string
	// Feedback are fixed addresses that the bounce listeners take mail for, which
	// feedback loops write to.
	Feedback []string
	// Operator is the domain and selector, DOMAIN/SELECTOR, of a key in DKIMDir that
	// signs all mail beside the clients' keys; "" is none.
	Operator string
	// BounceCert and BounceKey are PEM files, for STARTTLS on the bounce
	// listeners; "" offers none.
	BounceCert, BounceKey string

	// Console is the web page for the operator; nil is none.
	Console *console.Config

	// Version of the program, for the list of nodes.
	Version string
	// Log is where the node logs; nil is nowhere.
	Log *slog.Logger
	// Attempts is where it logs each message on its way, at [queue.LevelAttempt]: when
	// it is picked, tried, and recorded; nil is Log.
	Attempts *slog.Logger

	rules     bounce.Rules // of BounceRules
	languages *unsubscribe.Languages
	named     bool // the operator chose Name
}

// Check fills in what the zero values stand for, and reports the first field
// that makes no sense. It connects to nothing.
func (c *Config) Check() (err error) {
	if err := c.identify(); err != nil {
		return err
	}
	c.TLS = cmp.Or(c.TLS, "opportunistic")
	if _, err := sender.ParseTLSPolicy(c.TLS); err != nil {
		return exit.Usagef("--tls: %w", err)
	}
	if a, err := mail.ParseAddress(c.TLSReportFrom); c.TLSReportFrom != "" &&
		(err != nil || a.Address != c.TLSReportFrom) {
		return exit.Usagef("--tls-report-from %s: want an address, such as tls-reports@mail.host.example",
			c.TLSReportFrom)
	}
	c.Turn = cmp.Or(c.Turn, queue.Strict)
	if c.Turn != queue.Strict && c.Turn != queue.ByDestination {
		return exit.Usagef("--turn %s: want strict or destination", c.Turn)
	}
	if err := c.checkSmarthost(); err != nil {
		return err
	}
	if c.BounceDomain, err = settings.Domain("--bounce-domain", c.BounceDomain); err != nil {
		return err
	}
	if c.PublicURL, err = settings.PublicURL(c.PublicURL); err != nil {
		return err
	}
	if err := settings.HostPort("--dnssec-resolver", c.DNSSECResolver); err != nil {
		return err
	}
	c.FeedbackID = cmp.Or(c.FeedbackID, "enotify")
	if err := settings.FeedbackID("--feedback-id", c.FeedbackID); err != nil {
		return err
	}
	if err := c.checkFeedback(); err != nil {
		return err
	}
	c.SMTPPort, c.MaxInFlight, c.MaxConnections = cmp.Or(c.SMTPPort, 25), cmp.Or(c.MaxInFlight, 2000),
		cmp.Or(c.MaxConnections, fitting(maxFiles()))
	c.Recheck = cmp.Or(c.Recheck, 6*time.Hour)
	if c.languages, err = unsubscribe.Load(c.UnsubscribeWords); err != nil {
		return exit.Usagef("--unsubscribe-words: %w", err)
	}
	if c.rules, err = bounce.Load(c.BounceRules); err != nil {
		return exit.Usagef("--bounce-rules: %w", err)
	}
	if c.DKIMDir != "" {
		if info, err := os.Stat(c.DKIMDir); err != nil || !info.IsDir() {
			return exit.Usagef("--dkim-dir %s: there is no such folder, or this user may not look into it; "+
				"name the folder with the keys, as DIR/DOMAIN/SELECTOR.pem", c.DKIMDir)
		}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	c.Attempts = cmp.Or(c.Attempts, c.Log)
	if c.Console != nil {
		return c.Console.Check()
	}
	return nil
}

// identify fills in what receivers and other nodes know this one by.
func (c *Config) identify() (err error) {
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	c.named = c.Name != ""
	c.Name = cmp.Or(c.Name, fmt.Sprintf("%s-%d", host, os.Getpid()))
	c.HELO = cmp.Or(c.HELO, host)
	c.Egress = slices.Clone(c.Egress) // the caller's stays as it is
	for i, ip := range c.Egress {
		c.Egress[i] = ip.Unmap().WithZone("")
	}
	if len(c.Egress) == 0 {
		c.Egress, err = publicAddrs()
	}
	if err != nil {
		return err
	}
	return c.checkEgress()
}

// checkEgress refuses addresses that no receiver on the internet sees: the guard
// would check the wrong ones, and stop every client. Loopback is for tests whose
// receivers are on this host, and behind a smarthost nobody sees ours.
func (c *Config) checkEgress() error {
	for _, ip := range c.Egress {
		if why := spfguard.NotPublic(ip); why != "" && !ip.IsLoopback() && c.Smarthost == "" && !c.EgressPrivate {
			return exit.Usagef("--egress %s: it is %s, which receivers do not see; give the public address that the mail "+
				"leaves from, or --egress-private when the receivers are in this network", ip, why)
		}
	}
	return nil
}

// checkFeedback checks what concerns feedback loops.
func (c *Config) checkFeedback() error {
	for _, address := range c.Feedback {
		if a, err := mail.ParseAddress(address); err != nil || a.Address != address {
			return exit.Usagef("--feedback-address %s: want an address, such as fbl@mail.host.example", address)
		}
	}
	if len(c.Feedback) > 0 && len(c.BounceListen) == 0 {
		return exit.Usagef("--feedback-address %s: no listener takes its mail; add --bounce-listen ADDR", c.Feedback[0])
	}
	domain, selector, ok := strings.Cut(c.Operator, "/")
	switch {
	case c.Operator == "":
		return nil
	case !ok || domain == "" || selector == "":
		return exit.Usagef("--dkim-operator %s: want DOMAIN/SELECTOR, such as mail.host.example/s1", c.Operator)
	case c.DKIMDir == "":
		return exit.Usagef("--dkim-operator %s: say with --dkim-dir where its key is", c.Operator)
	}
	return nil
}

func (c *Config) checkSmarthost() error {
	if err := settings.HostPort("--smarthost", c.Smarthost); err != nil {
		return err
	}
	switch {
	case c.Login.User != "" && c.Smarthost == "":
		return exit.Usagef("--smarthost-user is for a smarthost: add --smarthost HOST:PORT")
	case c.Login.User != "" && c.Login.Password == "":
		return exit.Usagef("--smarthost-user %s: its password is missing; put it into ENOTIFY_SMARTHOST_PASSWORD",
			c.Login.User)
	}
	return nil
}

// StateDir is the folder with the journals of this user's nodes.
func StateDir() (string, error) {
	postgresql, err := localpg.DefaultDir() // beside the private PostgreSQL
	if err != nil {
		return "", fmt.Errorf("no state folder: %w; name one with --state-dir", err)
	}
	return filepath.Join(filepath.Dir(postgresql), "journals"), nil
}
