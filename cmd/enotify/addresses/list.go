package addresses

import (
	"cmp"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"enotify/cmd/enotify/figures"
	"enotify/cmd/enotify/term"
	"enotify/queue"
	"enotify/queue/warmup"
)

// An Address is what egress list and egress show print.
type Address struct {
	Address  netip.Addr        `json:"address"`
	Pool     string            `json:"pool"`
	State    queue.EgressState `json:"state"`
	Reason   string            `json:"reason"`
	Nodes    []string          `json:"nodes"` // live ones that announce it
	HELO     string            `json:"helo"`  // "" is that of the node
	Bind     string            `json:"bind"`  // "" is the address itself
	Weight   int               `json:"weight"`
	Rate     string            `json:"rate"`
	SiteRate string            `json:"site_rate"`
	Note     string            `json:"note"`
	Today    queue.EgressDay   `json:"today"` // by UTC
	Warmups  []Warmup          `json:"warmups"`
}

// A Warmup is a plan, and what it allows today.
type Warmup struct {
	queue.Warmup
	Warm bool `json:"warm"`
	Cap  *int `json:"cap"` // today; nil: no limit
}

// Of is an address as it is printed.
func Of(e queue.EgressAddress) Address {
	a := Address{Address: e.Addr, Pool: e.Pool, State: e.State, Reason: e.Reason, Nodes: e.Nodes, HELO: e.HELO,
		Weight: e.Weight,
		Rate:   rate(e.Rate), SiteRate: rate(e.SiteRate), Note: e.Note, Today: e.Today, Warmups: []Warmup{}}
	a.Today.Day = time.Now().UTC().Truncate(24 * time.Hour)
	if e.Bind.IsValid() {
		a.Bind = e.Bind.String()
	}
	for _, w := range e.Warmups {
		one := Warmup{Warmup: w, Warm: warmup.Plan(w.Caps).Warm(w.Step)}
		if n, capped := Cap(w); capped {
			one.Cap = &n
		}
		a.Warmups = append(a.Warmups, one)
	}
	return a
}

// List is all addresses as they are printed.
func List(all []queue.EgressAddress) []Address {
	list := []Address{}
	for _, e := range all {
		list = append(list, Of(e))
	}
	return list
}

// Cap is how many messages a plan allows today; capped is false when it is over.
func Cap(w queue.Warmup) (n int, capped bool) {
	d := w.Today()
	return warmup.Plan(w.Caps).Cap(w.Step,
		warmup.Day{Begun: d.Begun, Accepted: d.Taken, Refused: d.Refused, Complaints: d.Complaints})
}

func rate(r *queue.Rate) string {
	if r == nil {
		return figures.Unlimited
	}
	return figures.FormatRate(*r)
}

// Lay puts a list on a page.
func Lay(p *term.Page, all []queue.EgressAddress) {
	if len(all) == 0 {
		return
	}
	var rows [][]string
	for _, e := range all {
		rows = append(rows, []string{e.Addr.String(), e.Pool, state(e), announcers(e), rate(e.Rate),
			figures.Count(e.Weight), figures.Count(e.Today.Begun), warmth(e)})
	}
	p.Table([]string{"ADDRESS", "POOL", "STATE", "NODE", "RATE", "WEIGHT", "SENT TODAY", "WARM-UP"}, rows...)
}

func state(e queue.EgressAddress) string {
	if e.Reason != "" {
		return string(e.State) + ": " + term.Clip(e.Reason, 60)
	}
	return string(e.State)
}

func announcers(e queue.EgressAddress) string {
	return cmp.Or(strings.Join(e.Nodes, ", "), "announced by no live node")
}

// warmth says in a few words how far an address is in its plans of warm-up.
func warmth(e queue.EgressAddress) string {
	var said []string
	for _, w := range e.Warmups {
		where := ""
		if w.Site != "*" {
			where = w.Site + ": "
		}
		n, capped := Cap(w)
		if !capped {
			said = append(said, where+"warm")
			continue
		}
		said = append(said, fmt.Sprintf("%sday %d of %d, %s of %s", where, w.Step+1, len(w.Caps),
			figures.Count(w.Today().Begun), figures.Count(n)))
	}
	return strings.Join(said, "; ")
}

// InShort says in a line where an address stands.
func InShort(e queue.EgressAddress) string {
	said := []string{"pool " + e.Pool, state(e)}
	if e.Rate != nil {
		said = append(said, "rate "+rate(e.Rate))
	}
	if e.SiteRate != nil {
		said = append(said, rate(e.SiteRate)+" to each site")
	}
	if w := warmth(e); w != "" {
		said = append(said, "warm-up "+w)
	}
	return strings.Join(said, ", ")
}

// LayPools puts pools on a page.
func LayPools(p *term.Page, pools []queue.Pool) {
	var rows [][]string
	for _, pool := range pools {
		rows = append(rows, []string{pool.Name, string(pool.Kind), figures.Count(pool.Addresses),
			figures.Count(pool.Active), figures.Count(pool.Clients)})
	}
	p.Table([]string{"POOL", "KIND", "ADDRESSES", "THAT CAN SEND NOW", "CLIENTS"}, rows...)
}
