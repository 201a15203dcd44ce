package engine

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"enotify/queue"
)

// A tally counts what leaves from our addresses, until the next heartbeat writes it down.
// Caps are counted with each intent, and do not depend on it, except for messages that are
// given back since they did not leave. It is used by the loop and the handlers.
type tally struct {
	mu sync.Mutex
	n  map[tallyKey]counted
}

type tallyKey struct {
	paidKey
	day time.Time
}

// counted holds what is to be added to a row of egress_day.
type counted struct{ begun, accepted, refused int }

func newTally() *tally { return &tally{n: map[tallyKey]counted{}} }

// giveBack takes costs back that were counted for messages which do not leave.
func (t *tally) giveBack(costs []cost, n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range costs {
		if c.every == 0 {
			t.add(c.paidKey, c.day, counted{begun: -n})
		}
	}
}

// note counts an attempt that left from an address to a site. costs are those that
// were counted with its intent.
func (t *tally) note(o queue.Outcome, site string, costs []cost, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	left := o.Egress.IsValid() && !unsent(o)
	var told counted
	switch {
	case o.State == queue.Delivered:
		told.accepted = 1
	case distrusts(o):
		told.refused = 1
	}
	all := false // the row of all sites was counted with the intent
	for _, c := range costs {
		if c.every > 0 {
			continue
		}
		if !left || c.addr != o.Egress {
			t.add(c.paidKey, c.day, counted{begun: -1})
			continue
		}
		all = all || c.site == everySite
		t.add(c.paidKey, c.day, told)
	}
	if left && !all {
		told.begun = 1
		t.add(paidKey{o.Egress, everySite}, now.UTC().Truncate(24*time.Hour), told)
	}
}

func (t *tally) add(key paidKey, day time.Time, n counted) {
	of := tallyKey{key, day}
	sum := t.n[of]
	sum.begun += n.begun
	sum.accepted += n.accepted
	sum.refused += n.refused
	t.n[of] = sum
}

// empty reports whether there is nothing to write down.
func (t *tally) empty() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.n) == 0
}

// take returns what was counted, and empties the tally.
func (t *tally) take() map[tallyKey]counted {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.n
	t.n = map[tallyKey]counted{}
	return n
}

// unsent reports whether a receiver saw nothing of the message.
func unsent(o queue.Outcome) bool {
	return o.Class == queue.NotBegun || o.State == queue.Suppressed || o.State == queue.Invalid ||
		o.State == queue.Deferred && o.Class == queue.Offline && o.Reply.Code == 0
}

// distrusts reports whether a reply is about the address that we came from: it is
// blocked, or too fast for what the receiver knows of it.
func distrusts(o queue.Outcome) bool {
	if o.Treated().HoldsEgress {
		return true
	}
	return o.Class == queue.Throttled &&
		(o.Reply.Code == 421 || len(o.Reply.Enhanced) > 4 && o.Reply.Enhanced[:4] == "4.7.")
}

const tallySQL = `
INSERT INTO enotify.egress_day AS d (address, site, day, begun, accepted, refused)
SELECT t.address, t.site, t.day, greatest(0, t.begun), t.accepted, t.refused
FROM unnest($1::inet[], $2::text[], $3::date[], $4::int[], $5::int[], $6::int[]) t (address, site, day, begun, accepted,
  refused)
ORDER BY 1, 2, 3
ON CONFLICT (address, site, day) DO UPDATE SET begun = greatest(0, d.begun + (
	SELECT t.begun FROM unnest($1::inet[], $2::text[], $3::date[], $4::int[]) t (address, site, day, begun)
	WHERE t.address = d.address AND t.site = d.site AND t.day = d.day)), accepted = d.accepted + excluded.accepted,
		refused = d.refused + excluded.refused`

// keepTally adds to the days of addresses.
func keepTally(ctx context.Context, db interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
}, n map[tallyKey]counted) error {
	if len(n) == 0 {
		return nil
	}
	_, err := db.Exec(ctx, tallySQL, tallyArgs(n)...)
	return err
}

func tallyArgs(n map[tallyKey]counted) []any {
	var addrs []netip.Addr
	var sites []string
	var days []time.Time
	var begun, accepted, refused []int32
	for key, sum := range n {
		addrs, sites, days = append(addrs, key.addr), append(sites, key.site), append(days, key.day)
		begun, accepted, refused = append(begun, int32(sum.begun)), append(accepted, int32(sum.accepted)),
			append(refused, int32(sum.refused))
	}
	return []any{addrs, sites, days, begun, accepted, refused}
}
