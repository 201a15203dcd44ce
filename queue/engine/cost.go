package engine

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// A cost is a number of messages that count against a cap of a day, or a rate.
type cost struct {
	paidKey
	day   time.Time // zero: it is a rate
	ends  time.Time // when that day is over, by the database's clock
	limit int
	every time.Duration
	burst int
}

// capped reports whether messages from an address count against a cap of a day.
func capped(costs []cost, from netip.Addr) bool {
	return slices.ContainsFunc(costs, func(c cost) bool { return c.every == 0 && c.addr == from })
}

// cappedFrom lists the addresses whose cap of a day messages count against.
func cappedFrom(costs []cost) (from []netip.Addr) {
	for _, c := range costs {
		if c.every == 0 && !slices.Contains(from, c.addr) {
			from = append(from, c.addr)
		}
	}
	return from
}

// dayEnds is when the first of the days is over that messages count for; zero when they
// count for none. What has not begun by then counts for the next day.
func dayEnds(costs []cost) (ends time.Time) {
	for _, c := range costs {
		if c.every == 0 && (ends.IsZero() || c.ends.Before(ends)) {
			ends = c.ends
		}
	}
	return ends
}

// noCosts is the place of one more fence of an intent: see costs.fence.
const noCosts = "AND true"

// costs holds the costs of all picks of an intent, one for each cap and rate, as columns.
type costs struct {
	addrs  []netip.Addr
	sites  []string
	counts []int32
	days   []*time.Time
	caps   []*int32
	every  []*time.Duration
	bursts []*int32
}

func costsOf(picks []pick) (all costs) {
	at := map[paidKey]map[bool]int{}
	for _, p := range picks {
		for _, c := range p.costs {
			isRate := c.every > 0
			if i, known := at[c.paidKey][isRate]; known {
				all.counts[i] += int32(p.n)
				continue
			}
			if at[c.paidKey] == nil {
				at[c.paidKey] = map[bool]int{}
			}
			at[c.paidKey][isRate] = len(all.addrs)
			all.addrs, all.sites, all.counts = append(all.addrs, c.addr), append(all.sites, c.site),
				append(all.counts, int32(p.n))
			if isRate {
				every, burst := c.every, int32(c.burst)
				all.days, all.caps, all.every, all.bursts = append(all.days, nil), append(all.caps, nil),
					append(all.every, &every), append(all.bursts, &burst)
			} else {
				day, limit := c.day, int32(c.limit)
				all.days, all.caps, all.every, all.bursts = append(all.days, &day), append(all.caps, &limit),
					append(all.every, nil), append(all.bursts, nil)
			}
		}
	}
	return all
}

// fence has an intent count its messages in the same statement, and move nothing where a
// cap or a rate has no room for all of them: another node may have used it since the
// last heartbeat.
func (c costs) fence(sql string, args []any) (string, []any) {
	n := len(args)
	spend := fmt.Sprintf(`AND (SELECT enotify.spend_egress($%d, $%d, $%d, $%d, $%d, $%d, $%d))`, n+1, n+2, n+3, n+4,
		n+5, n+6, n+7)
	return strings.Replace(sql, noCosts, spend, 1),
		append(args, c.addrs, c.sites, c.counts, c.days, c.caps, c.every, c.bursts)
}
