package queue

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// The plan's own day, which nodes move on; without one nothing has left yet.
const egressComplaintSQL = `
INSERT INTO enotify.egress_day AS d (address, site, day, complaints)
SELECT w.address, w.site, w.day, 1
FROM enotify.batch b JOIN enotify.egress e ON e.pool = enotify.batch_pool(b.pool, b.priority, b.client_id)
JOIN enotify.warmup w ON w.address = e.address AND w.day IS NOT NULL AND w.step < cardinality(w.caps)
WHERE b.id = $1 AND w.site IN ('*', (
	SELECT coalesce(s.name, k.name) FROM enotify.recipient r JOIN enotify.domain k ON k.id = r.domain_id
		LEFT JOIN enotify.site s ON s.id = k.site_id
	WHERE r.batch_id = $1 AND r.seq = $2))
ORDER BY w.address, w.site
ON CONFLICT (address, site, day) DO UPDATE SET complaints = d.complaints + 1`

// chill counts a complaint against the addresses of the batch's pool that are warming up:
// their plans stay or go back when there are too many.
func chill(ctx context.Context, tx pgx.Tx, batch int64, seq int32) error {
	if _, err := tx.Exec(ctx, egressComplaintSQL, batch, seq); err != nil {
		return fmt.Errorf("a complaint about batch %d, against the warm-up of addresses: %w", batch, err)
	}
	return nil
}
