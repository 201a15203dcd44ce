package queue

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"
)

// An Alert is a fact that somebody should act on. It is told three ways: the process that
// recorded it logs and counts it; it is kept, and the view enotify.alert shows a login those
// of its clients; and LISTEN enotify_alert tells its number and kind as JSON. Any login may
// listen and notify, so a notification holds no names, and only an alert in the view was
// raised. It holds no address, and nothing that a receiver wrote.
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
	AlertComplaints    = "complaints"         // readers call too much of a client's mail spam
	AlertDurability    = "durability"         // the database may forget what it has committed
	AlertWentBack      = "database_went_back" // the database has forgotten what it had committed
	AlertWebhook       = "webhook_disabled"   // a receiver of events has failed for days
	AlertNodeBarred    = "node_barred"        // a node cannot send for clients, and leaves them to others
	AlertNotReady      = "not_ready"          // a draft that is kept ready would not go
	AlertStalled       = "stalled"            // a batch does not move though its sites are open
	AlertTLSReports    = "tls_reports"        // reports on TLS cannot be sent
	AlertTransaction   = "old_transaction"    // a session keeps a transaction open and slows the sending down
)

// AlertKinds lists all kinds.
var AlertKinds = []string{
	AlertAuthRejected, AlertClientBlocked, AlertSpamBlock, AlertSmarthost, AlertContent, AlertComplaints,
	AlertDurability, AlertWentBack,
	AlertWebhook, AlertNodeBarred, AlertStalled, AlertNotReady, AlertTLSReports,
	AlertTransaction,
}

const raiseSQL = `SELECT enotify.raise_alert($1, $2, $3, $4, $5, $6)`

// Raise sends an alert about a fact that is recorded nowhere else.
func (db *DB) Raise(ctx context.Context, a Alert) error { return RaiseIn(ctx, db.pool, a) }

type execer interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
}

// RaiseIn raises an alert that people are told of when the transaction commits.
func RaiseIn(ctx context.Context, q execer, a Alert) error {
	if runes := []rune(a.Text); len(runes) > maxAlert {
		a.Text = string(runes[:maxAlert-1]) + "…"
	}
	if _, err := q.Exec(ctx, raiseSQL, a.Kind, a.Client, a.Batch, a.Site, Text(a.Text), a.Next); err != nil {
		return fmt.Errorf("alert %s: %w", a.Kind, err)
	}
	return nil
}

const maxAlert = 1000 // characters
