package queue

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"time"

	"github.com/jackc/pgx/v5"
)

// A Draft is a batch to be created.
type Draft struct {
	Batch               // what it says; ID, Client, ReturnPath, DKIMSelectors and CreatedAt are the database's
	Key       string    // the caller's name for it: a second one of the same key and client is not created
	Pool      string    // of egress addresses that it leaves from; "" is the one of its kind or client
	NotBefore time.Time // takes no turn before; zero: at once
	// the hours within which it is sent, such as Mon-Fri 08:00-20:00 Europe/Berlin; "": those of its client
	Window string
	Submit bool // seal and queue it too
	Ready  bool // keep it as a draft until it is needed; see [DB.KeepReady]

	// Recipients returns one recipient a call, and io.EOF after the last. Its
	// errors undo everything. Nil: they are staged later, by SQL.
	Recipients func() (Recipient, error)
	// Rows has the recipients in place of that, as lines of [AppendRow]. It is read to its
	// end before anything is committed.
	Rows io.Reader
}

// A Recipient is a line of recipient_in, as the caller has it: a bad address
// becomes the outcome Invalid, not an error.
type Recipient struct {
	Address string
	Data    json.RawMessage // merge data, a JSON object; nil: none
}

// Created is the batch that a Draft became.
type Created struct {
	ID         int64
	Existed    bool // the key was there already: nothing was added, though a draft may have been submitted
	Recipients int  // staged, or after a submit sealed
}

const (
	createSQL = `
SELECT enotify.create_batch(idem_key => $1, from_address => $2, subject => $3, body_text => $4, body_html => $5,
  from_name => $6, reply_to => $7,
                            priority => $8, not_before => $9, expires_at => $10, on_unknown => $11,
                              list_unsubscribe => $12, headers => $13, lang => $14, send_window => $15, pool => $16)`
	// A row of this transaction bears the transaction's time.
	existedSQL = `SELECT created_at <> now() FROM enotify.batch_status WHERE id = $1`
	attachSQL  = `SELECT enotify.add_attachment($1, $2, $3, $4, $5)`
)

// Create makes a batch with its attachments and recipients, all or nothing, in
// one transaction. Recipients are not held in memory.
func (db *DB) Create(ctx context.Context, d Draft) (made Created, err error) {
	err = db.inTx(ctx, func(tx pgx.Tx) error {
		made, err = create(ctx, tx, d)
		return err
	})
	if err != nil {
		return Created{}, AsRefusal(err)
	}
	return made, nil
}

func create(ctx context.Context, tx pgx.Tx, d Draft) (made Created, err error) {
	if err := tx.QueryRow(ctx, createSQL, d.Key, d.From, d.Subject, d.Text, d.HTML, d.FromName, d.ReplyTo,
		d.Priority, orNever(d.NotBefore), orNever(d.ExpiresAt), orNull(string(d.OnUnknown)), d.ListUnsubscribe,
		headerObject(d.Headers), orNull(d.Lang), orNull(d.Window), orNull(d.Pool)).Scan(&made.ID); err != nil {
		return made, err
	}
	if err := tx.QueryRow(ctx, existedSQL, made.ID).Scan(&made.Existed); err != nil {
		return made, err
	}
	if !made.Existed {
		for _, a := range d.Attachments {
			if _, err := tx.Exec(ctx, attachSQL, made.ID, a.Filename, a.Content, a.ContentType,
				a.ContentID); err != nil {
				return made, err
			}
		}
		if d.Rows != nil {
			made.Recipients, err = copyRows(ctx, tx, made.ID, d.Rows)
		} else {
			made.Recipients, err = stage(ctx, tx, made.ID, d.Recipients)
		}
		if err != nil {
			return made, err
		}
	}
	if made.Existed && d.Rows != nil {
		// Nothing is committed before all rows are there: a draft would be submitted by a list that is broken.
		if _, err := io.Copy(io.Discard, d.Rows); err != nil {
			return made, err
		}
	}
	if d.Ready {
		if _, err := tx.Exec(ctx, keepReadySQL, made.ID, true); err != nil {
			return made, err
		}
	}
	if !d.Submit {
		return made, nil
	}
	var expected *int
	if !made.Existed && (d.Recipients != nil || d.Rows != nil) {
		expected = &made.Recipients
	}
	return made, tx.QueryRow(ctx, submitSQL, made.ID, expected).Scan(&made.Recipients)
}

func orNever(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// stage copies the recipients into recipient_in as next returns them.
func stage(ctx context.Context, tx pgx.Tx, batch int64, next func() (Recipient, error)) (n int, err error) {
	if next == nil {
		return 0, nil
	}
	return CopyRecipients(ctx, tx, pgx.Identifier{"enotify", "recipient_in"}, &batch, next)
}

// CopyRecipients copies recipients into a table, each with the batch if there is one.
func CopyRecipients(ctx context.Context, tx pgx.Tx, table pgx.Identifier, batch *int64,
	next func() (Recipient, error)) (n int, err error) {
	columns := []string{"address", "data"}
	if batch != nil {
		columns = append(columns, "batch_id")
	}
	var failed error // the server only echoes it
	copied, err := tx.CopyFrom(ctx, table, columns,
		pgx.CopyFromFunc(func() ([]any, error) {
			r, err := next()
			if errors.Is(err, io.EOF) {
				return nil, nil
			}
			if err != nil {
				failed = err
				return nil, err
			}
			row := []any{r.Address, r.Data}
			if batch != nil {
				row = append(row, *batch)
			}
			return row, nil
		}))
	if failed != nil {
		return 0, failed
	}
	return int(copied), err
}
