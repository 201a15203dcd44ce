package doctor

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"sync"
	"time"

	"enotify/queue"
	"enotify/spfguard/dns"
)

// Severity says how bad a finding is.
type Severity string

// The severities, the worst first.
const (
	Problem Severity = "problem" // mail is not sent, or not as it should be
	Warning Severity = "warning" // it may come to that
	Note    Severity = "note"    // worth knowing; nothing is wrong, or it could not be checked
	Fine    Severity = "ok"
)

var ranks = []Severity{Problem, Warning, Note, Fine}

// A Finding is the answer to one question.
type Finding struct {
	ID       string   `json:"id"` // a word for programs, such as "db.durability"; does not change
	Severity Severity `json:"severity"`
	Found    string   `json:"found"` // a sentence or two
	Cure     []string `json:"cure"`  // commands to type and lines to publish; never nil in JSON
}

// A Report is what a doctor found, the worst first.
type Report struct {
	At       time.Time `json:"at"`
	Problems int       `json:"problems"`
	Warnings int       `json:"warnings"`
	Findings []Finding `json:"findings"`
}

// A Config says what to look at. The fields are the settings of enotify run, so
// that a doctor with the node's environment looks at what the node will meet.
type Config struct {
	// Open opens the database without looking at its schema.
	Open func(ctx context.Context) (*queue.DB, error)
	// Private is the folder of the private PostgreSQL that Open starts; "" is none.
	Private string

	Resolver       string // HOST:PORT; "" is the system's
	DNSSECResolver string // HOST:PORT; "" is none

	Egress        []netip.Addr // none: those of the live nodes, else the host's public ones
	EgressPrivate bool         // Egress need not be public
	HELO          string       // "" is that of the live nodes, else the host's name
	Smarthost     string       // HOST:PORT; "" is none
	Port25Host    string       // HOST, or HOST:PORT: a mail host that is dialled; "" is none

	StateDir string // of the journal
	DKIMDir  string // of the keys; "" is none

	PublicURL             string // whose certificate is looked at; "" is none
	BounceCert, BounceKey string // PEM files; "" is none
}

// dialTimeout is what a host gets to answer: receivers greet within seconds.
const dialTimeout = 5 * time.Second

// A patient is what the checks look at.
type patient struct {
	Config
	db    *queue.DB // nil: it could not be opened, or may not be read
	nodes []queue.Node
	dns   *dns.Resolver
	own   []sender // addresses that receivers see
}

// A sender is an address that receivers see, and its name at EHLO.
type sender struct {
	addr netip.Addr
	helo string
}

// Run looks at everything, and returns when all is answered.
func Run(ctx context.Context, c Config) Report {
	p := &patient{Config: c, dns: &dns.Resolver{Server: c.Resolver, Timeout: dialTimeout}}
	inDatabase := p.database(ctx)
	if p.db != nil {
		defer p.db.Close()
	}
	p.own = p.senders()

	// Each check writes into its own place, so that the report does not depend on which ends first.
	checks := []func(context.Context) []Finding{p.resolver, p.egress, p.port25, p.smarthost, p.stateDir, p.files,
		p.keys, p.certificates}
	found := make([][]Finding, len(checks))
	var running sync.WaitGroup
	for i, check := range checks {
		running.Go(func() { found[i] = check(ctx) })
	}
	running.Wait()

	r := Report{At: time.Now(), Findings: slices.Concat(append([][]Finding{inDatabase}, found...)...)}
	for i, f := range r.Findings {
		if f.Cure == nil {
			r.Findings[i].Cure = []string{}
		}
		switch f.Severity {
		case Problem:
			r.Problems++
		case Warning:
			r.Warnings++
		}
	}
	slices.SortStableFunc(r.Findings, func(a, b Finding) int {
		return cmp.Compare(slices.Index(ranks, a.Severity), slices.Index(ranks, b.Severity))
	})
	return r
}

// worse is the finding with a severity that its cure is given for.
func (f Finding) worse(s Severity, found string, cure ...string) Finding {
	f.Severity, f.Found, f.Cure = s, found, cure
	return f
}
