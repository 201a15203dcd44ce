package queue

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"
)

// An Alert is a fact that somebody should act on. It is told three ways: the
// process that recorded it logs and counts it, and whoever listens gets it as
// JSON: LISTEN enotify_alert. Any login may listen, so it holds no address, and
// nothing that a receiver wrote.
//
// It is raised where the fact is recorded, in the same transaction, and once:
// when a state changes, and not for every message that meets the state.
type Alert struct {
	Kind   string `json:"kind"` // AlertClientBlocked and so on
	Client string `json:"client,omitempty"`
	Batch  int64  `json:"batch,omitempty"`
	Site   string `json:"site,omitempty"`
	Text   string `json:"text"` // a sentence for people
	Next   string `json:"next"` // the command to go on with
}

// Kinds of alerts. They are words for programs, and do not change.
const (
	AlertAuthRejected  = "auth_rejected"      // receivers begin to refuse a client's mail as not authorised
	AlertClientBlocked = "client_blocked"     // batches of a client were stopped
	AlertSpamBlock     = "spam_block"         // an egress address is held at a site
	AlertSmarthost     = "smarthost"          // our smarthost does not accept us
	AlertContent       = "content"            // a batch was stopped because no message of it can be composed
	AlertDurability    = "durability"         // the database may forget what it has committed
	AlertWentBack      = "database_went_back" // the database has forgotten what it had committed
	AlertStalled       = "stalled"            // a batch does not move though its sites are open
)

const raiseSQL = `SELECT pg_notify('enotify_alert', $1)`

// Raise tells those who listen of a fact that is recorded nowhere else.
func (db *DB) Raise(ctx context.Context, a Alert) error { return raise(ctx, db.pool, a) }

type execer interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
}

// raise tells them when the transaction commits.
func raise(ctx context.Context, q execer, a Alert) error {
	if runes := []rune(a.Text); len(runes) > maxAlert {
		a.Text = string(runes[:maxAlert-1]) + "…"
	}
	payload, err := json.Marshal(a)
	if err != nil {
		return err
	}
	if _, err := q.Exec(ctx, raiseSQL, string(payload)); err != nil {
		return fmt.Errorf("alert %s: %w", a.Kind, err)
	}
	return nil
}

const maxAlert = 1000 // characters; NOTIFY takes 8,000 octets, and JSON makes up to six of one
