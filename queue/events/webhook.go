package events

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"enotify/queue"
)

// A Webhook is where events are pushed to, as operators see it.
type Webhook struct {
	ID           int32      `json:"id"`
	Client       string     `json:"client"` // "" is all clients
	URL          string     `json:"url"`
	Kinds        []string   `json:"events"` // none: all
	CreatedAt    time.Time  `json:"created_at"`
	CreatedBy    string     `json:"created_by"`
	After        int64      `json:"after"` // the last event that the receiver has acknowledged
	Failures     int        `json:"failures"`
	FailingSince *time.Time `json:"failing_since"`
	Failure      string     `json:"failure"`
	DueAt        time.Time  `json:"due_at"`
	DisabledAt   *time.Time `json:"disabled_at"`
	Delivered    int64      `json:"delivered"` // events acknowledged
	DeliveredAt  *time.Time `json:"delivered_at"`
	Holder       string     `json:"holder"` // the node that tried last
}

const (
	webhooksSQL = `
SELECT w.id, coalesce(c.domain, ''), w.url, w.kinds, w.created_at, w.created_by::text, w.after, w.failures,
  w.failing_since, w.failure, w.due_at, w.disabled_at,
       w.delivered, w.delivered_at, w.holder
FROM enotify.webhook w LEFT JOIN enotify.client c ON c.id = w.client_id WHERE $1 IN (0, w.id) ORDER BY w.id`
	addWebhookSQL = `
INSERT INTO enotify.webhook (client_id, url, kinds, secret, after)
VALUES ((SELECT c.id FROM enotify.client c WHERE c.domain = $1), $2, $3, $4, enotify.last_event()) RETURNING id`
	removeWebhookSQL = `DELETE FROM enotify.webhook WHERE id = $1`
	goneSQL          = `
RETURNING (SELECT coalesce(max(d.upto), 0) FROM enotify.event_dropped d
  WHERE d.upto > w.after AND (w.client_id IS NULL OR d.client_id = w.client_id))`
	enableWebhookSQL = `
UPDATE enotify.webhook w SET disabled_at = NULL, failures = 0, failing_since = NULL, failure = '', due_at = now()
  WHERE id = $1` + goneSQL
	// A node that is pushing loses its claim: its later writes are ignored.
	replayWebhookSQL = `
UPDATE enotify.webhook w SET after = $2, upto = NULL, round = round + 1, disabled_at = NULL, failures = 0,
  failing_since = NULL, failure = '', due_at = now(),
	fence = fence + 1, held_until = '-infinity'
WHERE id = $1` + goneSQL
	testWebhookSQL = `SELECT enotify.test_webhook($1)`
	testedSQL      = `
SELECT w.after >= e.first, w.failures, w.failure FROM enotify.webhook w CROSS JOIN enotify.event e
  WHERE w.id = $1 AND e.id = $2`
	firstEventSQL = `
SELECT coalesce((SELECT e.first FROM enotify.event e WHERE e.first IS NOT NULL AND e.at >= $1 ORDER BY e.first LIMIT 1),
  enotify.last_event() + 1)`
)

// Webhooks lists all webhooks.
func (s Store) Webhooks(ctx context.Context) ([]Webhook, error) {
	return queue.Collect[Webhook](ctx, s.db, webhooksSQL, 0)
}

// Webhook finds a webhook by its number.
func (s Store) Webhook(ctx context.Context, id int32) (Webhook, error) {
	found, err := queue.Collect[Webhook](ctx, s.db, webhooksSQL, id)
	if err == nil && len(found) == 0 {
		err = queue.NotFound(queue.NounWebhook, id)
	}
	if err != nil {
		return Webhook{}, err
	}
	return found[0], nil
}

// AddWebhook adds a webhook that gets what happens from now on, signed with the secret, and
// has the events of its client recorded.
func (s Store) AddWebhook(ctx context.Context, w Webhook, secret []byte) (id int32, err error) {
	if w.Kinds == nil {
		w.Kinds = []string{}
	}
	if w.Client != "" {
		c, err := s.db.Client(ctx, w.Client)
		if err != nil {
			return 0, err
		}
		w.Client = c.Domain
	}
	err = s.inTx(ctx, func(tx pgx.Tx) error {
		if w.Client == "" {
			_, err = tx.Exec(ctx, recordEverySQL, true)
		} else {
			err = recordClient(ctx, tx, w.Client, true)
		}
		if err != nil {
			return queue.AsRefusal(err)
		}
		return queue.AsRefusal(tx.QueryRow(ctx, addWebhookSQL, w.Client, w.URL, w.Kinds, secret).Scan(&id))
	})
	return id, err
}

// RemoveWebhook removes a webhook. Events go on being recorded.
func (s Store) RemoveWebhook(ctx context.Context, id int32) error {
	tag, err := s.db.Pool().Exec(ctx, removeWebhookSQL, id)
	if err == nil && tag.RowsAffected() == 0 {
		return queue.NotFound(queue.NounWebhook, id)
	}
	return queue.AsRefusal(err)
}

// EnableWebhook has a webhook tried again at once, from the event where it stopped. Of the
// events that follow, those up to gone were dropped, and it does not get them; 0 means that
// none were.
func (s Store) EnableWebhook(ctx context.Context, id int32) (gone int64, err error) {
	return s.restart(ctx, id, enableWebhookSQL)
}

// ReplayWebhook has the events from one on, that one included, pushed to a webhook again.
// gone is as for EnableWebhook.
func (s Store) ReplayWebhook(ctx context.Context, id int32, from int64) (gone int64, err error) {
	return s.restart(ctx, id, replayWebhookSQL, from-1)
}

func (s Store) restart(ctx context.Context, id int32, sql string, args ...any) (gone int64, err error) {
	err = s.db.Pool().QueryRow(ctx, sql, append([]any{id}, args...)...).Scan(&gone)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, queue.NotFound(queue.NounWebhook, id)
	}
	return gone, queue.AsRefusal(err)
}

// First is the number of the first event that is recorded at a time or later,
// as far as events are kept.
func (s Store) First(ctx context.Context, at time.Time) (id int64, err error) {
	err = s.db.Pool().QueryRow(ctx, firstEventSQL, at).Scan(&id)
	return id, queue.AsRefusal(err)
}

// TestWebhook has a test event pushed to a webhook; Tested returns the result.
func (s Store) TestWebhook(ctx context.Context, id int32) (event int64, err error) {
	var made *int64
	if err := s.db.Pool().QueryRow(ctx, testWebhookSQL, id).Scan(&made); err != nil {
		return 0, queue.AsRefusal(err)
	}
	if made == nil {
		return 0, queue.NotFound(queue.NounWebhook, id)
	}
	return *made, nil
}

// Tested reports whether the receiver has acknowledged a test event, how many tries
// have failed since the last success, and why the last one did.
func (s Store) Tested(ctx context.Context, id int32, event int64) (done bool, failures int, failure string, err error) {
	var acknowledged *bool
	err = s.db.Pool().QueryRow(ctx, testedSQL, id, event).Scan(&acknowledged, &failures, &failure)
	return acknowledged != nil && *acknowledged, failures, failure, queue.AsRefusal(err)
}

// A Claim is a webhook that a node may push to until its lease ends.
type Claim struct {
	ID       int32
	Client   string
	ClientID *int32
	URL      string
	Kinds    []string
	Secret   []byte
	After    int64
	Upto     *int64 // of the message that failed, which a retry repeats
	Round    int32
	Fence    int64
	Failures int
	Slow     bool // the receiver was slow to answer, or has not answered yet
}

// dueWebhooksSQL says of a webhook w that it has something to get. A row of events holds
// up to 1,000.
const dueWebhooksSQL = `w.disabled_at IS NULL AND w.due_at <= now() AND w.held_until <= now() AND CASE
		WHEN w.upto IS NOT NULL THEN true
		WHEN w.client_id IS NULL THEN w.after < enotify.last_event()
		ELSE EXISTS (SELECT FROM enotify.event e WHERE e.client_id = w.client_id AND e.first > w.after - 1000
			AND e.first + e.n - 1 > w.after) END`

const (
	newsSQL = `
SELECT EXISTS (SELECT FROM enotify.event e WHERE e.first IS NULL)
    OR EXISTS (SELECT FROM enotify.webhook w WHERE ` + dueWebhooksSQL + `)`
	// Of slow receivers at most $4 are taken: the other places are for those that answer
	// soon. A client has at most $5 of these at a time, and the clients take turns: one that
	// adds its first webhook does not wait for hundreds of another that never answer.
	claimWebhooksSQL = `
WITH held AS (
	SELECT coalesce(h.client_id, 0) AS client, count(*) AS n FROM enotify.webhook h
	WHERE h.slow AND h.holder = $1 AND h.held_until > now() GROUP BY 1
), due AS (
	SELECT w.id, w.due_at, w.slow, coalesce(h.n, 0) + row_number() OVER (
		PARTITION BY w.slow, w.client_id ORDER BY w.failures > 0, w.due_at, w.id) AS nth
	FROM enotify.webhook w LEFT JOIN held h ON h.client = coalesce(w.client_id, 0)
	WHERE ` + dueWebhooksSQL + `
), slow AS (
	SELECT d.id, row_number() OVER (ORDER BY d.nth, d.due_at, d.id) AS place FROM due d WHERE d.slow AND d.nth <= $5
), taken AS (
	SELECT w.id FROM enotify.webhook w JOIN due d ON d.id = w.id LEFT JOIN slow s ON s.id = w.id
	WHERE NOT d.slow OR s.place <= $4 ORDER BY d.slow, s.place, d.due_at, w.id LIMIT $3 FOR UPDATE OF w SKIP LOCKED
)
UPDATE enotify.webhook w SET holder = $1, held_until = now() + $2::interval, fence = w.fence + 1
FROM taken t WHERE w.id = t.id AND w.held_until <= now()
RETURNING w.id, coalesce((SELECT c.domain FROM enotify.client c WHERE c.id = w.client_id), ''), w.client_id, w.url,
  w.kinds, w.secret, w.after, w.upto, w.round, w.fence, w.failures, w.slow`
	lastEventSQL   = `SELECT enotify.last_event()`
	readEventsSQL  = `SELECT * FROM enotify.read_events($1, $2, $3, $4, $5)`
	acknowledgeSQL = `
UPDATE enotify.webhook SET after = $3, upto = NULL, failures = 0, failing_since = NULL, failure = '', due_at = now(),
  held_until = '-infinity', slow = $5,
	delivered = delivered + $4, delivered_at = CASE WHEN $4 > 0 THEN now() ELSE delivered_at END
WHERE id = $1 AND fence = $2`
	passSQL = `UPDATE enotify.webhook SET after = $3, held_until = '-infinity' WHERE id = $1 AND fence = $2`
	failSQL = `
UPDATE enotify.webhook SET upto = $3, failures = failures + 1, failing_since = coalesce(failing_since, now()),
  failure = $4, due_at = now() + $5::interval,
	held_until = '-infinity', slow = $6, disabled_at = CASE WHEN $7
		OR failing_since <= now() - $8::interval THEN now() END
WHERE id = $1 AND fence = $2
RETURNING disabled_at IS NOT NULL, failing_since`
)

// News reports whether an event has no number yet, or a webhook has something to get.
func (s Store) News(ctx context.Context) (news bool, err error) {
	err = s.db.Pool().QueryRow(ctx, newsSQL).Scan(&news)
	return news, err
}

// Claim claims webhooks that have something to get, at most so many, and of
// those that were slow at most slow. With those that the holder has already, a client gets
// at most ofOne slow ones.
func (s Store) Claim(ctx context.Context, holder string, lease time.Duration, most, slow, ofOne int) ([]Claim,
	error) {
	return queue.Collect[Claim](ctx, s.db, claimWebhooksSQL, holder, lease, most, slow, ofOne)
}

// Claimed lists the events that a webhook is to get next, at most so many; they are
// all that it is to get up to upto. Without any, the claim ends.
func (s Store) Claimed(ctx context.Context, c Claim, most int) (events []Event, upto int64, err error) {
	if c.Upto != nil {
		upto = *c.Upto
	} else if err := s.db.Pool().QueryRow(ctx, lastEventSQL).Scan(&upto); err != nil {
		return nil, 0, err
	}
	var clients []int32
	if c.ClientID != nil {
		clients = []int32{*c.ClientID}
	}
	kinds := c.Kinds
	if len(kinds) > 0 {
		kinds = append([]string{"test"}, kinds...)
	}
	read, err := queue.Collect[Event](ctx, s.db, readEventsSQL, clients, kinds, c.After, upto, most)
	if err != nil {
		return nil, 0, err
	}
	if len(read) == most {
		upto = read[most-1].ID
	}
	mine := fmt.Sprintf(`{"webhook": %d}`, c.ID) // as PostgreSQL writes it
	for _, e := range read {
		if e.Kind != "test" || string(e.Data) == mine {
			events = append(events, e)
		}
	}
	if len(events) == 0 {
		_, err = s.db.Pool().Exec(ctx, passSQL, c.ID, c.Fence, upto)
	}
	return events, upto, err
}

// Acknowledge records that the receiver has n events up to one, and ends the claim.
func (s Store) Acknowledge(ctx context.Context, c Claim, upto int64, n int, slow bool) error {
	_, err := s.db.Pool().Exec(ctx, acknowledgeSQL, c.ID, c.Fence, upto, n, slow)
	return err
}

// A Failure is a try to push events that failed.
type Failure struct {
	Upto     int64         // the last event of the message
	Why      string        // for people
	Wait     time.Duration // until the next try
	Patience time.Duration // after failing for so long it is disabled
	Gone     bool          // it is disabled at once
	Slow     bool
}

// Fail records a try that failed, and ends the claim. The alert says that the
// webhook is disabled now; nil: it is not.
func (s Store) Fail(ctx context.Context, c Claim, f Failure) (alert *queue.Alert, err error) {
	err = s.inTx(ctx, func(tx pgx.Tx) error {
		var disabled bool
		var since time.Time
		err := tx.QueryRow(ctx, failSQL, c.ID, c.Fence, f.Upto, queue.Text(f.Why), f.Wait, f.Slow, f.Gone,
			f.Patience).Scan(&disabled, &since)
		if errors.Is(err, pgx.ErrNoRows) || err == nil && !disabled {
			return nil
		}
		if err != nil {
			return err
		}
		of := c.Client
		if of == "" {
			of = "all clients"
		}
		alert = &queue.Alert{
			Kind: queue.AlertWebhook, Client: c.Client, Next: "enotify webhook enable " + strconv.Itoa(int(c.ID)),
			Text: fmt.Sprintf("webhook %d, which gets events of %s, is disabled: failures since %s: %d; the last one: %s",
				c.ID, of, since.UTC().Format("2006-01-02 15:04 MST"), c.Failures+1, f.Why),
		}
		return queue.RaiseIn(ctx, tx, *alert)
	})
	if err != nil {
		return nil, err
	}
	return alert, nil
}
