package engine

import (
	"cmp"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"time"

	"enotify/queue"
)

// everySite stands for all sites together, as in the tables.
const everySite = "*"

// An address is an active egress address of live nodes, as the last heartbeat found it.
type address struct {
	queue.Egress
	text   string  // Addr
	nodes  []int32 // that announce it, in ascending order
	weight int
	pace   pace // over all sites
	site   pace // to each site
	plans  []plan
}

func (a *address) of(node int32) bool { return slices.Contains(a.nodes, node) }

// A pace is the time that a rate gives one message; 0 is no limit.
type pace time.Duration

func paceOf(n *int, per *time.Duration) pace {
	if n == nil || per == nil {
		return 0
	}
	return pace(max(1, *per/time.Duration(*n)))
}

// burst is how many messages may leave at once: those of a second, or one.
func (p pace) burst() int { return max(1, int(time.Second/time.Duration(p))) }

// left returns how many messages may leave now, where the rate is paid until a time, or else
// when the next one may.
func (p pace) left(paid, now time.Time) (n int, next time.Time) {
	if paid.Before(now) {
		paid = now
	}
	n = p.burst() - int(math.Ceil(float64(paid.Sub(now))/float64(p)))
	return max(0, n), paid.Add(time.Duration(p) * time.Duration(1-p.burst()))
}

// A plan is the warm-up of an address to a site, or to all.
type plan struct {
	site   string
	limit  int       // of today; see warmup.Plan.Cap
	begun  int       // of it, with what is about to begin here
	day    time.Time // today where the plan counts its days, as midnight UTC
	ends   time.Time // when it is over
	spills bool      // what is above the cap goes to warm addresses
}

// applies reports whether mail to a site counts.
func (p *plan) applies(site string) bool { return p.site == everySite || p.site == site }

// why says why mail waits for the plan of an address.
func (p *plan) why(addr netip.Addr) string {
	to := ""
	if p.site != everySite {
		to = " to " + p.site
	}
	return fmt.Sprintf("the warm-up of %s allows %d messages%s today; the rest waits for the next day", addr, p.limit, to)
}

// egresses holds the addresses of all live nodes. It belongs to the loop.
type egresses struct {
	node    int32
	all     []*address
	foreign bool // a live node has an address that this one does not have

	excluded bool // mail was due that the guard lets other nodes send, and not this one

	ranks  map[rankKey][]*address
	paid   map[paidKey]time.Time // by the database's clock
	counts *tally
	// the batches whose recipients the warm-up of an address has put off
	putOff map[netip.Addr]map[int64]bool
	seen   map[int16]int64 // the groups whose recipients that were put off are known by putOff, by epoch
	ends   time.Time       // when the first day of a warm-up is over, by the database's clock; zero: none is under way
}

type rankKey struct {
	pool string
	grp  int16
	v4   bool
}

type paidKey struct {
	addr netip.Addr
	site string
}

func newEgresses(node int32) *egresses {
	return &egresses{node: node, counts: newTally(), putOff: map[netip.Addr]map[int64]bool{}}
}

// waitsFor notes that a batch waits for the warm-up of an address.
func (e *egresses) waitsFor(addr netip.Addr, batch int64) {
	if e.putOff[addr] == nil {
		e.putOff[addr] = map[int64]bool{}
	}
	e.putOff[addr][batch] = true
}

// rank lists the addresses of a pool in the order in which a group of recipient
// domains uses them; see queue.EgressScore.
func (e *egresses) rank(pool string, grp int16, v4 bool) []*address {
	key := rankKey{pool, grp, v4}
	if ranked, known := e.ranks[key]; known {
		return ranked
	}
	var ranked []*address
	scores := map[*address]float64{}
	for _, a := range e.all {
		if a.Pool == pool && a.Addr.Is4() == v4 {
			ranked = append(ranked, a)
			scores[a] = queue.EgressScore(a.Addr, a.weight, grp)
		}
	}
	slices.SortFunc(ranked, func(a, b *address) int {
		return cmp.Or(cmp.Compare(scores[b], scores[a]), a.Addr.Compare(b.Addr))
	})
	e.ranks[key] = ranked
	return ranked
}

// A choice is where messages of a lane leave from now. None of from, node and until
// is set where no live node has an address for them.
type choice struct {
	from  []*address  // ours, at most one of each family
	room  int         // messages that may begin
	node  int32       // another node has the address
	until time.Time   // nothing may begin before
	why   queue.Reply // what the site said, or says in its place

	// putOff is the class of those that need not be looked at before until; "" where
	// that is soon: a rate.
	putOff queue.Class
	by     netip.Addr // the address that they wait for
}

// choose chooses the addresses for mail of a pool to a site in a group. may lists the
// nodes that may send it, held tells until when a site blocks an address. IPv4 decides,
// where the pool has such addresses: nearly all sites have it. dbNow is the time of the
// database, by which rates are paid.
func (e *egresses) choose(pool string, grp int16, site string, may []int32, held func(*address) queue.Closure, now,
	dbNow time.Time) choice {
	first := e.walk(e.rank(pool, grp, true), site, may, held, now, dbNow)
	if first.node == 0 && first.from == nil && first.until.IsZero() {
		return e.walk(e.rank(pool, grp, false), site, may, held, now, dbNow)
	}
	if first.from == nil {
		return first
	}
	var ours []*address
	for _, a := range e.rank(pool, grp, false) {
		if a.of(e.node) {
			ours = append(ours, a)
		}
	}
	if other := e.walk(ours, site, []int32{e.node}, held, now, dbNow); other.from != nil {
		first.from = append(first.from, other.from...)
		first.room = min(first.room, other.room)
	}
	return first
}

// walk chooses among addresses of one family, in their order.
func (e *egresses) walk(ranked []*address, site string, may []int32, held func(*address) queue.Closure, now,
	dbNow time.Time) (c choice) {
	spilled := false
	var wait choice // why nothing may begin, of the address that can begin first
	later := func(until time.Time, putOff queue.Class, by netip.Addr, why queue.Reply) {
		if wait.until.IsZero() || until.Before(wait.until) {
			wait = choice{until: until, why: why, putOff: putOff, by: by}
		}
	}
	for _, a := range ranked {
		first := slices.IndexFunc(a.nodes, func(n int32) bool { return slices.Contains(may, n) })
		if first < 0 {
			continue
		}
		if c := held(a); c.Until.After(now) {
			later(c.Until, c.Class, a.Addr, c.Reply)
			continue
		}
		room := math.MaxInt32
		full, warming := (*plan)(nil), false
		for i := range a.plans {
			if p := &a.plans[i]; p.applies(site) {
				warming = true
				if room = min(room, max(0, p.limit-p.begun)); room == 0 {
					full = p
					break
				}
			}
		}
		if full != nil {
			later(now.Add(full.ends.Sub(dbNow)), queue.NotBegun, a.Addr,
				queue.Reply{Text: full.why(a.Addr)})
			if !full.spills {
				return wait
			}
			spilled = true
			continue
		}
		if spilled && warming { // an address that is warming up is no help for another
			continue
		}
		if !a.of(e.node) || !slices.Contains(may, e.node) {
			return choice{node: a.nodes[first]}
		}
		n, next := e.affords(a, site, dbNow)
		if n == 0 {
			return choice{until: now.Add(max(time.Millisecond, next.Sub(dbNow)))}
		}
		return choice{from: []*address{a}, room: min(room, n)}
	}
	return wait
}

// affords is how many messages the rates of an address let leave to a site, and else
// when they let one.
func (e *egresses) affords(a *address, site string, dbNow time.Time) (n int, next time.Time) {
	n = math.MaxInt32
	for _, of := range []struct {
		pace pace
		site string
	}{{a.pace, everySite}, {a.site, site}} {
		if of.pace == 0 {
			continue
		}
		left, at := of.pace.left(e.paid[paidKey{a.Addr, of.site}], dbNow)
		if n = min(n, left); left == 0 && at.After(next) {
			next = at
		}
	}
	return n, next
}

// spend counts messages that are about to begin, and lists what the database has to count.
func (e *egresses) spend(c choice, site string, n int, dbNow time.Time) (costs []cost) {
	for _, a := range c.from {
		for i := range a.plans {
			if p := &a.plans[i]; p.applies(site) {
				p.begun += n
				costs = append(costs, cost{paidKey: paidKey{a.Addr, p.site}, day: p.day, ends: p.ends, limit: p.limit})
			}
		}
		for _, of := range []struct {
			pace pace
			site string
		}{{a.pace, everySite}, {a.site, site}} {
			if of.pace == 0 {
				continue
			}
			key := paidKey{a.Addr, of.site}
			paid := e.paid[key]
			if paid.Before(dbNow) {
				paid = dbNow
			}
			e.paid[key] = paid.Add(time.Duration(n) * time.Duration(of.pace))
			costs = append(costs, cost{paidKey: key, every: time.Duration(of.pace), burst: of.pace.burst()})
		}
	}
	return costs
}
