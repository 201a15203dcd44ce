package queue

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
)

// A KeptPreflight is a preflight report that is kept with a batch.
type KeptPreflight struct {
	At      time.Time       `json:"at"`
	By      string          `json:"by"`
	Verdict string          `json:"verdict"` // ready, warnings or blocked
	Line    string          `json:"line"`
	Forced  string          `json:"forced"` // why the batch was submitted anyway; "" if it was not
	Report  json.RawMessage `json:"-"`
}

const keepPreflightSQL = `
INSERT INTO enotify.preflight (batch_id, verdict, line, forced, report) VALUES ($1, $2, $3, $4, $5)`

// KeepPreflight keeps a preflight report with a batch.
func (db *DB) KeepPreflight(ctx context.Context, batch int64, p KeptPreflight) error {
	_, err := db.pool.Exec(ctx, keepPreflightSQL, batch, p.Verdict, p.Line, orNull(p.Forced), p.Report)
	return AsRefusal(err)
}

const lastPreflightSQL = `
SELECT at, by::text, verdict, line, coalesce(forced, ''), report FROM enotify.preflight WHERE batch_id = $1
  ORDER BY at DESC, id DESC LIMIT 1`

// LastPreflight returns the latest preflight report of a batch; nil if there is none.
func (db *DB) LastPreflight(ctx context.Context, batch int64) (*KeptPreflight, error) {
	var p KeptPreflight
	err := db.pool.QueryRow(ctx, lastPreflightSQL, batch).Scan(&p.At, &p.By, &p.Verdict, &p.Line, &p.Forced, &p.Report)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	return &p, AsRefusal(err)
}
