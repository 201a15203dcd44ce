package queue

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// A Status is where a batch stands: a line of the view batch_status. The
// counts from Pending to Cancelled add up to Total once it is submitted.
type Status struct {
	ID       int64  `json:"id"`
	IdemKey  string `json:"idem_key"`
	Client   string `json:"client"`
	State    string `json:"state"`
	Reason   string `json:"reason"` // why it is paused, blocked, cancelled or waits
	Priority int    `json:"priority"`
	Total    int    `json:"total"` // recipients sealed

	Pending    int `json:"pending"`
	Sending    int `json:"sending"` // under way, or in doubt until the lease of a dead node ends
	Deferred   int `json:"deferred"`
	Delivered  int `json:"delivered"`
	Bounced    int `json:"bounced"`
	Suppressed int `json:"suppressed"`
	Invalid    int `json:"invalid"`
	Expired    int `json:"expired"`
	Unknown    int `json:"unknown"`
	Cancelled  int `json:"cancelled"`

	Staged      int        `json:"staged"`     // rows staged: for a draft those that submit will look at
	PerSecond   *float64   `json:"per_second"` // recipients begun since it took the turn; nil: it does not have it
	Duplicates  int        `json:"duplicates"` // staged rows that repeated an address; not in Total
	FromAddress string     `json:"from_address"`
	Subject     string     `json:"subject"`
	OnUnknown   string     `json:"on_unknown"`
	CreatedBy   string     `json:"created_by"`
	CreatedAt   time.Time  `json:"created_at"`
	SubmittedAt *time.Time `json:"submitted_at"`
	NotBefore   *time.Time `json:"not_before"`
	SendWindow  *string    `json:"send_window"` // its own; nil: that of its client alone
	ExpiresAt   time.Time  `json:"expires_at"`
	StartedAt   *time.Time `json:"started_at"`
	FinishedAt  *time.Time `json:"finished_at"` // nil while anything may still happen
	PrunedAt    *time.Time `json:"pruned_at"`   // when its recipients were dropped; the counts stay
}

// A Count is how many recipients of a batch are in a state.
type Count struct {
	State State
	N     int
}

// Counts lists all states in the order in which a recipient goes through them.
func (s Status) Counts() []Count {
	return []Count{
		{Pending, s.Pending}, {Sending, s.Sending}, {Deferred, s.Deferred}, {Delivered, s.Delivered},
		{Bounced, s.Bounced},
		{Suppressed, s.Suppressed}, {Invalid, s.Invalid}, {Expired, s.Expired}, {Unknown, s.Unknown},
		{Cancelled, s.Cancelled},
	}
}

// Settled is the number of recipients that have an outcome.
func (s Status) Settled() int { return s.Total - s.Pending - s.Sending - s.Deferred }

// Filter chooses batches; its zero value chooses all.
type Filter struct {
	State  string        // one state
	Client string        // one client
	Since  time.Duration // unfinished ones, and those that finished so recently; 0: all
	Before int64         // lower numbers; 0: all
	Limit  int           // so many of the unfinished, and of the finished; 0: all
}

// Times that no time.Time can hold, or no JSON, are cut: the schema refuses them,
// and a batch that has one all the same can be seen and cancelled.
const statusSQL = `
SELECT id, idem_key, client, state, reason, priority, total,
       pending, sending, deferred, delivered, bounced, suppressed, invalid, expired, unknown, cancelled,
       staged, per_second, duplicates, from_address, subject, on_unknown, created_by::text, created_at, submitted_at,
       CASE WHEN not_before IS NOT NULL
            THEN least(greatest(not_before, '0001-01-01 00:00+00'), '9999-12-31 00:00+00') END AS not_before,
       send_window, least(greatest(expires_at, '0001-01-01 00:00+00'), '9999-12-31 00:00+00') AS expires_at,
       started_at, finished_at, pruned_at
FROM enotify.batch_status `

const pageSQL = statusSQL + `
WHERE id = ANY (ARRAY(SELECT enotify.batch_page($1, $2, $3, $4, $5, $6))) ORDER BY id DESC`

// Batches lists batches: the unfinished ones, and then the others, each the newest first.
func (db *DB) Batches(ctx context.Context, f Filter) (all []Status, err error) {
	if f.Client != "" {
		if f.Client, err = db.Domain(ctx, f.Client); err != nil {
			return nil, err
		}
	}
	all = []Status{}
	var limit *int
	if f.Limit > 0 {
		limit = &f.Limit
	}
	for _, finished := range []bool{false, true} {
		page, err := collectStatus(ctx, db.pool, pageSQL, finished, f.State, f.Client, f.Since, f.Before, limit)
		if err != nil {
			return nil, err
		}
		all = append(all, page...)
	}
	return all, nil
}

// Status finds a batch.
func (db *DB) Status(ctx context.Context, batch int64) (Status, error) {
	return status(ctx, db.pool, batch)
}

func status(ctx context.Context, q querier, batch int64) (Status, error) {
	found, err := Statuses(ctx, q, `id = $1`, batch)
	if err != nil {
		return Status{}, err
	}
	if len(found) == 0 {
		return Status{}, NotFound(NounBatch, batch)
	}
	return found[0], nil
}

// Statuses reads the batches for which a condition on the columns of the view
// enotify.batch_status holds; an order may follow the condition. q is a pool or a transaction.
func Statuses(ctx context.Context, q querier, condition string, args ...any) ([]Status, error) {
	return collectStatus(ctx, q, statusSQL+"WHERE "+condition, args...)
}

func collectStatus(ctx context.Context, q querier, sql string, args ...any) ([]Status, error) {
	rows, err := q.Query(ctx, sql, args...)
	if err != nil {
		return nil, AsRefusal(err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByName[Status])
	return found, AsRefusal(err)
}

const submitSQL = `SELECT enotify.submit_batch($1, $2)`

// Submit seals a draft and queues it; a second call changes nothing. It
// returns the number of recipients.
func (db *DB) Submit(ctx context.Context, batch int64) (recipients int, err error) {
	err = db.pool.QueryRow(ctx, submitSQL, batch, nil).Scan(&recipients)
	return recipients, AsRefusal(err)
}

const pauseSQL = `SELECT enotify.pause_batch($1, $2)`

// Pause stops a batch: after a second no new transaction begins; those under way
// finish and are recorded.
func (db *DB) Pause(ctx context.Context, batch int64, reason string) error {
	_, err := db.pool.Exec(ctx, pauseSQL, batch, reason)
	return AsRefusal(err)
}

const resumeSQL = `SELECT enotify.resume_batch($1)`

// Resume puts a paused batch back into the queue, and has the guard check a blocked
// one again.
func (db *DB) Resume(ctx context.Context, batch int64) error {
	_, err := db.pool.Exec(ctx, resumeSQL, batch)
	return AsRefusal(err)
}

// Steered counts the batches that a command for a client, or for all, has changed.
type Steered struct {
	Batches int `json:"batches"` // that were paused or resumed
	Left    int `json:"left"`    // that were not: they go on, or stay paused
}

// The second statement sees what the first has done: they are two transactions.
const (
	pauseAllSQL   = `SELECT enotify.pause_batches(nullif($1, ''), $2)`
	resumeAllSQL  = `SELECT enotify.resume_batches(nullif($1, ''))`
	leftGoingSQL  = leftSQL + `AND b.state IN ('queued', 'sending', 'draining', 'retrying', 'blocked')`
	leftPausedSQL = leftSQL + `AND b.state = 'paused'`
	leftSQL       = `
SELECT count(*) FROM enotify.batch b JOIN enotify.client c ON c.id = b.client_id
WHERE b.finished_at IS NULL AND $1 IN ('', c.domain) `
)

// PauseAll pauses the batches of a client, or with "" of all, that are submitted and not
// finished. Batches that another session has locked are left as they are.
func (db *DB) PauseAll(ctx context.Context, client, reason string) (s Steered, err error) {
	return db.steer(ctx, pauseAllSQL, leftGoingSQL, client, reason)
}

// ResumeAll puts the batches of a client, or with "" of all, that [DB.PauseAll] has
// paused back into the queue.
func (db *DB) ResumeAll(ctx context.Context, client string) (s Steered, err error) {
	return db.steer(ctx, resumeAllSQL, leftPausedSQL, client)
}

func (db *DB) steer(ctx context.Context, sql, left, client string, args ...any) (s Steered, err error) {
	if err = db.pool.QueryRow(ctx, sql, append([]any{client}, args...)...).Scan(&s.Batches); err == nil {
		err = db.pool.QueryRow(ctx, left, client).Scan(&s.Left)
	}
	return s, AsRefusal(err)
}

const cancelSQL = `SELECT enotify.cancel_batch($1, $2)`

// Cancel ends a batch for good. Recipients not yet tried get nothing.
func (db *DB) Cancel(ctx context.Context, batch int64, reason string) error {
	_, err := db.pool.Exec(ctx, cancelSQL, batch, reason)
	return AsRefusal(err)
}
