package insight

import (
	"context"
	"time"

	"enotify/queue"
)

// A Change is one step of a batch from state to state.
type Change struct {
	At     time.Time `json:"at"`
	From   string    `json:"from"` // "" when it was created
	To     string    `json:"to"`
	By     string    `json:"by"`     // login
	Person string    `json:"person"` // at the command line; "" when it was a node, or SQL
	Node   string    `json:"node"`   // "" when it was no node
	Reason string    `json:"reason"`
}

// Who names the person or node that made the change.
func (c Change) Who() string {
	switch {
	case c.Node != "":
		return "node " + c.Node
	case c.Person != "":
		return c.Person + " (login " + c.By + ")"
	}
	return "login " + c.By
}

const historySQL = `
SELECT at, coalesce(from_state::text, ''), to_state::text, by::text, person, node, reason FROM enotify.batch_log
  WHERE batch_id = $1 ORDER BY at`

// History lists the states that a batch went through, in order.
func (r Reader) History(ctx context.Context, batch int64) ([]Change, error) {
	log, err := collect[Change](ctx, r, historySQL, batch)
	for i := range log {
		log[i].Person, log[i].Node = queue.Unescaped(log[i].Person), queue.Unescaped(log[i].Node)
	}
	return log, err
}

// A Failure is what one recipient domain says to recipients of a batch, and how
// many fail alike: in the same state, for a reason of the same class.
type Failure struct {
	State   string `json:"state"` // bounced, expired, invalid, or deferred: not given up yet
	Class   string `json:"class"`
	Domain  string `json:"domain"` // "" when the addresses are invalid
	Code    int    `json:"code"`   // 0: the receiver said nothing
	N       int    `json:"recipients"`
	Reply   string `json:"reply"`         // one of them
	Alike   int    `json:"alike"`         // recipients that fail alike, at all domains
	Domains int    `json:"alike_domains"` // those domains
}

const (
	failuresSQL = `
WITH failed AS (
	SELECT o.state::text, o.class::text, d.name AS domain, o.code::int,
		concat_ws(' ', o.code, o.enhanced, o.reply) AS reply
	FROM enotify.outcome o JOIN enotify.recipient r USING (batch_id, seq)
		LEFT JOIN enotify.domain d ON d.id = r.domain_id
	WHERE o.batch_id = $1 AND o.state IN ('bounced', 'expired', 'invalid')
	UNION ALL
	SELECT 'deferred', t.class::text, d.name, t.code::int, concat_ws(' ', t.code, t.enhanced, t.reply)
	FROM enotify.retry t JOIN enotify.recipient r USING (batch_id, seq) LEFT JOIN enotify.domain d ON d.id = r.domain_id
	WHERE t.batch_id = $1 AND t.class <> 'not_begun'
)` + rankedSQL
	ownFailuresSQL = `
WITH failed AS (
	SELECT state, class, domain, code, concat_ws(' ', code, reply) AS reply FROM enotify.delivery
	WHERE batch_id = $1 AND state IN ('bounced', 'expired', 'invalid', 'deferred')
		AND class IS DISTINCT FROM 'not_begun'
)` + rankedSQL
	rankedSQL = `, said AS (
	SELECT f.state, coalesce(f.class, '') AS class, coalesce(f.domain, '') AS domain, coalesce(f.code, 0) AS code,
		count(*)::int AS n,
	       min(f.reply) AS reply
	FROM failed f GROUP BY 1, 2, 3, 4
), alike AS (
	SELECT state, class, sum(n)::int AS n, count(DISTINCT domain)::int AS domains FROM said GROUP BY 1, 2
), ranked AS (
	SELECT *, row_number() OVER (PARTITION BY state, class ORDER BY n DESC, domain, code) AS rank FROM said
)
SELECT state, class, r.domain, r.code, r.n, r.reply, a.n, a.domains
FROM ranked r JOIN alike a USING (state, class) WHERE r.rank <= $2
ORDER BY a.n DESC, state, class, r.rank`
)

// Failures lists why a batch was not delivered to recipients: the most frequent reason
// first, and for each up to limit domains, the most frequent first.
func (r Reader) Failures(ctx context.Context, batch int64, limit int) ([]Failure, error) {
	return collect[Failure](ctx, r, failuresSQL, batch, limit)
}

// OwnFailures is [Reader.Failures] for the login of an application, by the view that
// it may read.
func (r Reader) OwnFailures(ctx context.Context, batch int64, limit int) ([]Failure, error) {
	return collect[Failure](ctx, r, ownFailuresSQL, batch, limit)
}

// A Doubt is a recipient in state unknown: the receiver may or may not have taken the
// message.
type Doubt struct {
	Seq     int32     `json:"seq"`
	Address string    `json:"address"`
	At      time.Time `json:"at"`
	Reply   string    `json:"reply"`
}

const doubtsSQL = `
SELECT o.seq, r.address, o.at, coalesce(o.reply, '')
FROM enotify.outcome o JOIN enotify.recipient r USING (batch_id, seq) WHERE o.batch_id = $1 AND o.state = 'unknown'
  ORDER BY o.seq LIMIT $2`

// Doubts lists recipients of a batch in state unknown.
func (r Reader) Doubts(ctx context.Context, batch int64, limit int) ([]Doubt, error) {
	return collect[Doubt](ctx, r, doubtsSQL, batch, limit)
}

const nextDueSQL = `SELECT min(due_at) FROM enotify.retry WHERE batch_id = $1 AND intent_at IS NULL`

// NextDue is when the first deferred recipient of a batch is tried again, nil
// when none is deferred.
func (r Reader) NextDue(ctx context.Context, batch int64) (due *time.Time, err error) {
	err = r.row(ctx, nextDueSQL, batch)(&due)
	return due, err
}
