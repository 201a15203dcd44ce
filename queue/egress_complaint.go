package queue

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/jackc/pgx/v5"
)

// It counts on the plan's current day, which nodes move on; without one nothing has left
// yet.
const egressComplaintSQL = `
INSERT INTO enotify.egress_day AS d (address, site, day, complaints)
SELECT w.address, w.site, w.day, 1
FROM enotify.warmup w
WHERE w.day IS NOT NULL AND w.step < cardinality(w.caps)
  AND w.address IN (SELECT m.address FROM enotify.warmup_mail m WHERE m.batch_id = $1 AND $2 = ANY (m.seqs))
  AND w.site IN ('*', (
	SELECT coalesce(s.name, k.name) FROM enotify.recipient r JOIN enotify.domain k ON k.id = r.domain_id
		LEFT JOIN enotify.site s ON s.id = k.site_id
	WHERE r.batch_id = $1 AND r.seq = $2))
ORDER BY w.address, w.site
ON CONFLICT (address, site, day) DO UPDATE SET complaints = d.complaints + 1`

// chill counts a complaint against the address that the message left from, if that was
// warming up: its plan stays or goes back when there are too many.
func chill(ctx context.Context, tx pgx.Tx, batch int64, seq int32) error {
	if _, err := tx.Exec(ctx, egressComplaintSQL, batch, seq); err != nil {
		return fmt.Errorf("a complaint about batch %d, against the warm-up of an address: %w", batch, err)
	}
	return nil
}

const warmedSQL = `
INSERT INTO enotify.warmup_mail (batch_id, address, seqs)
SELECT w.batch_id, w.address, array_agg(w.seq ORDER BY w.seq)
FROM unnest($1::bigint[], $2::int[], $3::inet[]) w (batch_id, seq, address) GROUP BY 1, 2`

// warmed counts accepted messages that left from addresses with a plan of warm-up.
type warmed struct {
	batches []int64
	seqs    []int32
	addrs   []netip.Addr
}

func (w *warmed) add(r *Result) {
	if r.Warming && r.State == Delivered {
		w.batches, w.seqs, w.addrs = append(w.batches, r.Batch), append(w.seqs, r.Seq), append(w.addrs, r.Egress)
	}
}

func (w *warmed) queue(b *pgx.Batch) {
	if len(w.batches) > 0 {
		b.Queue(warmedSQL, w.batches, w.seqs, w.addrs)
	}
}
