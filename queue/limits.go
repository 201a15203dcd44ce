package queue

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"enotify/queue/window"
)

// Limits say when a client may send, and how much. 0 is no limit.
type Limits struct {
	PerDay       int    `json:"per_day"` // messages
	PerMonth     int    `json:"per_month"`
	MaxBatches   int    `json:"max_batches"`    // at once in the queue
	MaxBatchSize int    `json:"max_batch_size"` // recipients
	Over         Over   `json:"over"`           // what happens to a batch that is more
	Zone         string `json:"zone"`           // of the days and months
	Window       string `json:"send_window"`    // "": it may send at any hour
	Urgent       int    `json:"urgent"`         // the priority from which on windows do not hold
}

// Over says what happens to a batch above a limit: it waits, or it is refused.
type Over string

const (
	OverWaits  Over = "wait"   // the batch waits until there is room
	OverRefuse Over = "refuse" // it is not taken into the queue
)

// Sent is how much a client has sent, where that is limited.
type Sent struct {
	Today   int       `json:"today"`
	Month   int       `json:"month"`
	Left    int       `json:"left"` // for now: of the day or the month, whichever has fewer
	Resumes time.Time `json:"resumes"`
}

// LimitsChange is what [DB.SetClient] changes of the limits; nil fields stay as they are.
type LimitsChange struct {
	PerDay, PerMonth, MaxBatches, MaxBatchSize, Urgent *int // 0 is no limit

	Over         *Over
	Zone, Window *string
}

func (c LimitsChange) apply(l *Limits) {
	set(&l.PerDay, c.PerDay)
	set(&l.PerMonth, c.PerMonth)
	set(&l.MaxBatches, c.MaxBatches)
	set(&l.MaxBatchSize, c.MaxBatchSize)
	set(&l.Urgent, c.Urgent)
	set(&l.Over, c.Over)
	set(&l.Zone, c.Zone)
	set(&l.Window, c.Window)
}

func set[T any](to, value *T) {
	if value != nil {
		*to = *value
	}
}

const (
	// A new limit, or other days, needs a count of what was sent before.
	setLimitsSQL = `
UPDATE enotify.client c SET per_day = nullif($2, 0), per_month = nullif($3, 0), max_batches = nullif($4, 0),
  max_batch_size = nullif($5, 0), over_quota = $6, zone = $7, send_window = $8, urgent = $9, spent_until = NULL
FROM enotify.client o WHERE c.domain = $1 AND o.id = c.id
RETURNING c.id, (c.per_day IS NOT NULL OR c.per_month IS NOT NULL)
  AND (o.per_day IS NULL AND o.per_month IS NULL OR o.zone <> c.zone)`
	countSentSQL  = `SELECT enotify.count_sent($1)`
	submitLockSQL = `INSERT INTO enotify.submit_lock (client_id) VALUES ($1) ON CONFLICT DO NOTHING`
	limitsSQL     = `
SELECT coalesce(per_day, 0), coalesce(per_month, 0), coalesce(max_batches, 0), coalesce(max_batch_size, 0), over_quota,
  zone, coalesce(send_window, ''), urgent
FROM enotify.client WHERE domain = $1`
	readWindowSQL = `SELECT coalesce(spec, ''), coalesce(problem, '') FROM enotify.read_window($1)`
	zoneSQL       = `
SELECT name FROM pg_timezone_names WHERE lower(name) = lower($1)
  AND (name ~ '^[A-Z][A-Za-z_]+/[A-Za-z0-9_/+-]+$' OR name = 'UTC')`
)

// setLimits changes the limits of a client, which the caller has locked.
func setLimits(ctx context.Context, tx pgx.Tx, domain string, change LimitsChange) error {
	var l Limits
	row := tx.QueryRow(ctx, limitsSQL, domain)
	err := row.Scan(&l.PerDay, &l.PerMonth, &l.MaxBatches, &l.MaxBatchSize, &l.Over, &l.Zone, &l.Window, &l.Urgent)
	if errors.Is(err, pgx.ErrNoRows) {
		return unregistered(domain)
	}
	if err != nil {
		return AsRefusal(err)
	}
	was := l
	change.apply(&l)
	if l.Window != was.Window && l.Window != "" {
		given, problem := l.Window, ""
		if err := tx.QueryRow(ctx, readWindowSQL, given).Scan(&l.Window, &problem); err != nil {
			return AsRefusal(err)
		}
		if problem != "" {
			return errors.New(problem)
		}
		if _, err := window.Read(l.Window); err != nil {
			return err
		}
	}
	if l.Zone != was.Zone {
		given := l.Zone
		if err := tx.QueryRow(ctx, zoneSQL, given).Scan(&l.Zone); errors.Is(err, pgx.ErrNoRows) {
			return fmt.Errorf("%q is no time zone: want one such as Europe/Berlin, or UTC", given)
		} else if err != nil {
			return AsRefusal(err)
		}
	}
	var id int32
	var uncounted bool
	row = tx.QueryRow(ctx, setLimitsSQL, domain, l.PerDay, l.PerMonth, l.MaxBatches, l.MaxBatchSize,
		l.Over, l.Zone, orNull(l.Window), l.Urgent)
	if err := row.Scan(&id, &uncounted); err != nil {
		return AsRefusal(err)
	}
	if uncounted {
		if _, err := tx.Exec(ctx, countSentSQL, id); err != nil {
			return AsRefusal(err)
		}
	}
	_, err = tx.Exec(ctx, submitLockSQL, id)
	return AsRefusal(err)
}
