package queue

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

const contentSQL = `
SELECT b.id, c.domain, b.from_address, b.from_name, b.reply_to, coalesce(c.return_path, ''), c.bounce, coalesce(c.bounce_domain, ''), c.dkim_selectors, b.subject, b.body_text, b.body_html,
       'auto-generated', b.list_unsubscribe, b.priority, b.created_at, b.started_at, b.expires_at, b.on_unknown
FROM enotify.batch b JOIN enotify.client c ON c.id = b.client_id WHERE b.id = $1`

const attachmentsSQL = `SELECT filename, content_type, '', content FROM enotify.attachment WHERE batch_id = $1 ORDER BY n`

// Content returns what the batch says, attachments included.
func (db *DB) Content(ctx context.Context, batch int64) (*Batch, error) {
	var b Batch
	var started *time.Time
	err := db.pool.QueryRow(ctx, contentSQL, batch).Scan(&b.ID, &b.Client, &b.From, &b.FromName, &b.ReplyTo, &b.ReturnPath, &b.Bounces.Mode, &b.Bounces.Domain, &b.DKIMSelectors, &b.Subject, &b.Text, &b.HTML,
		&b.AutoSubmitted, &b.ListUnsubscribe, &b.Priority, &b.CreatedAt, &started, &b.ExpiresAt, &b.OnUnknown)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, fmt.Errorf("batch %d: %w", batch, ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("batch %d: %w", batch, AsRefusal(err))
	}
	if started != nil {
		b.StartedAt = *started
	}
	rows, err := db.pool.Query(ctx, attachmentsSQL, batch)
	if err != nil {
		return nil, fmt.Errorf("attachments of batch %d: %w", batch, err)
	}
	b.Attachments, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Attachment])
	return &b, err
}
