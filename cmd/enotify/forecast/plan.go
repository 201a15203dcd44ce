package forecast

import (
	"time"

	"golang.org/x/time/rate"

	"enotify/queue/window"
	"enotify/sender/throttle"
)

// Limits are what the sender keeps to: the operator's policies, and what was
// learned of sites. *throttle.Throttle is one.
type Limits interface {
	Policy(domain string) throttle.Policy
	SitePolicy(site string) throttle.Policy
	Pace(site string) throttle.Pace
}

// A Load is a batch that waits for its turn or has it.
type Load struct {
	Batch     int64 // 0: not in the queue
	Priority  int   // a load of a higher one takes the turn at once
	NotBefore time.Time
	Windows   []*window.Window // all of them must be open
	Client    string           // whose quota it counts against; "": none
	Pool      string           // of the addresses that it leaves from
	Domains   []Waiting        // not tried yet; those with a time are put off, and need no turn
	Due       []Waiting        // deferred: they are tried again beside the turn
	Beside    bool             // it holds no turn: others have it already
}

// Waiting are the messages to one recipient domain.
type Waiting struct {
	Domain, Site string
	N            int
	At           time.Time // when they are due; zero: at once
	Pool         string    // "": that of their load
}

// A Quota is how many messages a client may send.
type Quota struct {
	PerDay, PerMonth int // 0: no limit
	Today, Month     int // sent so far
	Zone             *time.Location
}

// A Plan is what is simulated.
type Plan struct {
	Start    time.Time
	Limits   Limits
	Ahead    []Load // in the order of their turns
	Own      Load
	Message  time.Duration // that one message takes in one connection; 0 is DefaultMessage
	Measured bool          // Message is what nodes measured
	Retries  []Waiting     // of other batches
	Most     rate.Limit    // messages a second that all nodes together get through; 0 is MostPerNode
	Nodes    int           // that are alive
	// a batch may begin while the one ahead only waits for slow sites; that is not simulated
	Overlap bool
	Quotas  map[string]*Quota // by client
	// from which mail leaves; a pool without any has no limits of addresses
	Addresses []Address
	Groups    map[string]int16     // of sites, by which they have addresses; see queue.EgressScore
	Deferred  map[string]float64   // by site: the share of first tries that is likely to be deferred
	Again     time.Duration        // after which deferred ones are tried again; 0 is five minutes
	Set       map[string]time.Time // destinations whose limits an operator has set, and when
}

const (
	// DefaultMessage is what a message takes where nobody measured it: two round
	// trips of 50 ms, and what the receiver takes to look at it.
	DefaultMessage = 300 * time.Millisecond
	// MostPerNode is what a node of two cores gets through (the guide, "Speed").
	MostPerNode rate.Limit = 8000

	firstAgain = 5 * time.Minute

	firstStep = 20 * time.Millisecond
	stepShare = 100 // a step is at most this part of the time gone by
	maxSpan   = 60 * 24 * time.Hour
)

// A Forecast is how a batch will go, in time since the start of the plan.
type Forecast struct {
	Begin    time.Duration // when the batch gets its turn
	End      time.Duration // when everybody was tried once
	Late     bool          // it does not end within maxSpan
	Deferred int           // recipients that are likely to be deferred
	Done     time.Duration // when those were tried again; End where nobody is deferred
	Untried  int           // recipients that were not tried at the start
	Paused   string        // what it waits for meanwhile, as "its window" or "its quota"; "" is nothing
	Warming  []WarmingForecast
	Sites    []SiteForecast
	Points   []Point // all together
}

// A SiteForecast is the forecast of one site. A Forecast lists the site that ends last
// first.
type SiteForecast struct {
	Name   string
	N      int
	End    time.Duration
	Held   Reason // by what, most of the time
	One    string // its recipient domain, if it is the only one
	Points []Point
}

// A Point is how many messages have been sent by a time.
type Point struct {
	At   time.Duration
	Sent float64
}
