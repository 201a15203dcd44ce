package engine

import (
	"context"
	"net/netip"

	"github.com/jackc/pgx/v5"

	"enotify/queue"
)

// A sending is a message that left, or may leave, from an address with a warm-up. A
// database that went back has perhaps forgotten that it counts against the cap.
type sending struct {
	flight
	made     int64 // when the batch was created, in microseconds since 1970
	addr     netip.Addr
	site     string
	accepted bool
}

// warming lists the flights that count against the cap of a day.
func (f *flights) warming() (all []sending) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for one := f.oldest; one != nil; one = one.newer {
		for _, addr := range cappedFrom(one.costs) {
			all = append(all, sending{flight: one.flight(), made: one.made, addr: addr, site: one.site})
		}
	}
	return all
}

// warmed lists the results that count against the cap of a day: the journal has the
// addresses of no others.
func warmed(results []knownTry) (all []sending) {
	for _, r := range results {
		if r.Egress.IsValid() {
			all = append(all, sending{flight: flight{r.Batch, r.Seq, int32(r.Try)}, made: r.made, addr: r.Egress,
				site: r.Site, accepted: r.State == queue.Delivered})
		}
	}
	return all
}

// A message counts for today: when it left is not known.
const forgottenCostsSQL = `
SELECT w.address, w.site, (clock_timestamp() AT TIME ZONE w.zone)::date, count(*)::int,
       (count(*) FILTER (WHERE s.accepted))::int
FROM unnest($1::bigint[], $2::int[], $3::int[], $4::bigint[], $5::inet[], $6::text[], $7::boolean[])
	s (batch_id, seq, try, made, address, site, accepted)
JOIN enotify.batch b ON b.id = s.batch_id AND (extract(epoch FROM b.created_at) * 1000000)::bigint = s.made
JOIN enotify.recipient r ON r.batch_id = s.batch_id AND r.seq = s.seq
JOIN enotify.batch_domain d ON d.batch_id = s.batch_id AND d.domain_id = r.domain_id
JOIN enotify.warmup w ON w.address = s.address AND w.site IN ('*', s.site)
WHERE CASE WHEN s.try = 1 THEN d.intent_seq < s.seq
      ELSE NOT EXISTS (SELECT FROM enotify.outcome o WHERE o.batch_id = s.batch_id AND o.seq = s.seq)
       AND NOT EXISTS (SELECT FROM enotify.retry t WHERE t.batch_id = s.batch_id AND t.seq = s.seq
                       AND (t.tries >= s.try OR t.tries = s.try - 1 AND t.intent_at IS NOT NULL)) END
GROUP BY 1, 2, 3`

// forgottenCosts counts the messages whose intents the database has forgotten. It comes
// before the results are written again, which would make retries look known.
func (db *store) forgottenCosts(ctx context.Context, of []sending) (map[tallyKey]counted, error) {
	if len(of) == 0 {
		return nil, nil
	}
	var batches, made []int64
	var seqs, tries []int32
	var addrs []netip.Addr
	var sites []string
	var accepted []bool
	for _, s := range of {
		batches, seqs, tries, made = append(batches, s.batch), append(seqs, s.seq), append(tries, s.try),
			append(made, s.made)
		addrs, sites, accepted = append(addrs, s.addr), append(sites, s.site), append(accepted, s.accepted)
	}
	rows, err := db.pool.Query(ctx, forgottenCostsSQL, batches, seqs, tries, made, addrs, sites, accepted)
	if err != nil {
		return nil, err
	}
	forgotten := map[tallyKey]counted{}
	var key tallyKey
	var n counted
	_, err = pgx.ForEachRow(rows, []any{&key.addr, &key.site, &key.day, &n.begun, &n.accepted}, func() error {
		forgotten[key] = n
		return nil
	})
	return forgotten, err
}
