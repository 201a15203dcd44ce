package queue

import (
	"context"
	"fmt"
)

// Gmail calls a domain a bulk sender, for ever, once that sent 5,000 messages to
// personal accounts within a day (support.google.com/a/answer/14229414).
const noteBulkSQL = `
UPDATE enotify.client c SET bulk_since = now() WHERE c.bulk_since IS NULL AND (
	SELECT count(*) FROM enotify.batch b
	JOIN enotify.batch_domain p ON p.batch_id = b.id
	JOIN enotify.domain d ON d.id = p.domain_id AND d.name IN ('gmail.com', 'googlemail.com')
	JOIN enotify.outcome o ON o.batch_id = b.id AND o.seq BETWEEN p.first_seq AND p.intent_seq AND o.state = 'delivered'
		AND o.at > now() - interval '1 day'
	WHERE b.client_id = c.id AND b.started_at IS NOT NULL
		AND (b.finished_at IS NULL OR b.finished_at > now() - interval '1 day')
) >= 5000`

// NoteBulkSenders remembers the clients that became bulk senders for Gmail within the
// last day. It outlives the outcomes.
func (db *DB) NoteBulkSenders(ctx context.Context) error {
	if _, err := db.pool.Exec(ctx, noteBulkSQL); err != nil {
		return fmt.Errorf("bulk senders were not noted: %w", err)
	}
	return nil
}
