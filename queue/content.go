package queue

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const contentSQL = `
SELECT b.id, c.domain, b.from_address, b.from_name, b.reply_to, coalesce(c.return_path, ''), c.bounce,
  coalesce(c.bounce_domain, ''), c.dkim_selectors, b.subject, b.headers,
  CASE WHEN $2 THEN b.body_text ELSE '' END, CASE WHEN $2 THEN b.body_html ELSE '' END,
       c.auto_submitted, c.precedence, b.edits, b.lang, b.list_unsubscribe, b.priority, b.created_at, b.started_at,
         b.expires_at, b.on_unknown, b.tls_report
FROM enotify.batch b JOIN enotify.client c ON c.id = b.client_id WHERE b.id = ANY ($1)`

const attachmentsSQL = `
SELECT batch_id, filename, content_type, content_id, content FROM enotify.attachment WHERE batch_id = ANY ($1)
  ORDER BY batch_id, n`

// ErrUnreadable means that the content of one batch cannot be read. Other batches may be
// sent.
var ErrUnreadable = errors.New("cannot be read")

// ErrEdited means that the content of a batch was replaced, or the batch removed, since one
// of its messages was begun.
var ErrEdited = errors.New("its content was replaced meanwhile")

// unreadable tells a row that cannot be read from a database that does not answer.
func unreadable(err error) error {
	var scan pgx.ScanArgError
	var no *pgconn.PgError
	switch {
	case errors.As(err, &scan):
		return fmt.Errorf("%w: no program can read the value of its column %s", ErrUnreadable, scan.FieldName)
	case errors.As(err, &no) && (strings.HasPrefix(no.Code, "22") ||
		strings.HasPrefix(no.Code, "XX")): // data exception, corrupted data
		return fmt.Errorf("%w: %w", ErrUnreadable, AsRefusal(err))
	}
	return AsRefusal(err)
}

// Content returns what the batch says, attachments included. One that cannot be
// read is [ErrUnreadable].
func (db *DB) Content(ctx context.Context, batch int64) (*Batch, error) {
	all, err := db.Contents(ctx, []int64{batch})
	if err != nil {
		return nil, fmt.Errorf("batch %d: %w", batch, err)
	}
	if all[batch] == nil {
		return nil, NotFound(NounBatch, batch)
	}
	return all[batch], nil
}

// Contents is Content for several batches, in one round trip. When one of them
// cannot be read, none is; one that is not there is left out.
func (db *DB) Contents(ctx context.Context, batches []int64) (map[int64]*Batch, error) {
	all := make(map[int64]*Batch, len(batches))
	var pipe pgx.Batch
	pipe.Queue(contentSQL, batches, true).Query(func(rows pgx.Rows) error {
		read, err := pgx.CollectRows(rows, scanContent)
		for _, b := range read {
			all[b.ID] = b
		}
		return err
	})
	pipe.Queue(attachmentsSQL, batches).Query(func(rows pgx.Rows) error {
		var batch int64
		var a Attachment
		_, err := pgx.ForEachRow(rows, []any{&batch, &a.Filename, &a.ContentType, &a.ContentID, &a.Content},
			func() error {
				if b := all[batch]; b != nil {
					b.Attachments = append(b.Attachments, a)
				}
				a = Attachment{}
				return nil
			})
		return err
	})
	if err := db.pool.SendBatch(ctx, &pipe).Close(); err != nil {
		return nil, unreadable(err)
	}
	return all, nil
}

// Outline is Content without Text, HTML and Attachments.
func (db *DB) Outline(ctx context.Context, batch int64) (*Batch, error) {
	rows, err := db.pool.Query(ctx, contentSQL, []int64{batch}, false)
	if err != nil {
		return nil, fmt.Errorf("batch %d: %w", batch, unreadable(err))
	}
	b, err := pgx.CollectExactlyOneRow(rows, scanContent)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil, NotFound(NounBatch, batch)
	case err != nil:
		return nil, fmt.Errorf("batch %d: %w", batch, unreadable(err))
	}
	return b, nil
}

func scanContent(row pgx.CollectableRow) (*Batch, error) {
	var b Batch
	var started *time.Time
	var headers map[string]any
	err := row.Scan(&b.ID, &b.Client, &b.From, &b.FromName, &b.ReplyTo, &b.ReturnPath, &b.Bounces.Mode,
		&b.Bounces.Domain, &b.DKIMSelectors, &b.Subject, &headers, &b.Text, &b.HTML,
		&b.AutoSubmitted, &b.Precedence, &b.Edits, &b.Lang, &b.ListUnsubscribe, &b.Priority, &b.CreatedAt, &started,
		&b.ExpiresAt, &b.OnUnknown, &b.TLSReport)
	b.Headers = headerList(headers)
	if started != nil {
		b.StartedAt = *started
	}
	return &b, err
}

// headerList is the column headers: names to a value or a list of values, in
// the order of the names, so that messages are the same everywhere.
func headerList(headers map[string]any) (list []Header) {
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		values, isList := headers[name].([]any)
		if !isList {
			values = []any{headers[name]}
		}
		for _, v := range values {
			text, _ := v.(string) // the schema allows nothing else
			list = append(list, Header{Name: name, Value: text})
		}
	}
	return list
}

// headerObject is the column for a list of headers; NULL when there are none.
func headerObject(list []Header) map[string][]string {
	var headers map[string][]string
	for _, h := range list {
		if headers == nil {
			headers = map[string][]string{}
		}
		headers[h.Name] = append(headers[h.Name], h.Value)
	}
	return headers
}

const replaceContentSQL = `SELECT enotify.replace_content($1, $2, $3, $4, $5)`

// A ContentEdit replaces what a batch says; nil keeps it.
type ContentEdit struct {
	Subject, Text, HTML *string
	Filenames           []string // of all attachments, in their order
}

// ReplaceContent replaces the content of a batch for all recipients that have
// not been tried. A batch that was blocked for its content goes on.
func (db *DB) ReplaceContent(ctx context.Context, batch int64, e ContentEdit) error {
	_, err := db.pool.Exec(ctx, replaceContentSQL, batch, e.Subject, e.Text, e.HTML, e.Filenames)
	return AsRefusal(err)
}
