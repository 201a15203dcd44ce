package insight

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"enotify/queue"
)

// A Census is what the seal of a batch would find among its recipients. Nothing
// is sealed, and nothing changes.
type Census struct {
	Given      int // recipients, as staged, sealed or read
	Duplicates int // of them, repeat an address
	Invalid    []Tally
	Suppressed []Suppressions
	Sendable   int

	Roles          int      // sendable addresses of role accounts (RFC 2142)
	RoleExamples   []string // a few of them
	UTF8           int      // sendable addresses whose local part needs SMTPUTF8 (RFC 6531)
	Domains        []DomainCount
	Known          int // sendable addresses that were on an earlier batch of the client
	EarlierBatches int // that were looked at for Known
	Shapes         []Shape
	OtherShapes    int // recipients of shapes beyond those listed
}

// A Tally is how many recipients have a problem.
type Tally struct {
	Reason  string
	N       int
	Example string
}

// Suppressions are the recipients that are suppressed for a cause.
type Suppressions struct {
	Cause          string
	N              int
	Oldest, Newest time.Time
}

// A DomainCount is how many recipients a domain has.
type DomainCount struct {
	Domain string
	N      int
}

// A Shape is a set of recipients whose merge data has values for the same
// fields: a template that can be filled for one can be for all.
type Shape struct {
	N       int
	Address string // of one of them
	Data    json.RawMessage
	hash    int64
}

// A CensusQuery names the recipients to count: the recipients of a batch, or the rows that
// Recipients returns, one per call and io.EOF after the last.
type CensusQuery struct {
	Batch      int64
	Client     string // whose suppressions and earlier batches count
	Recipients func() (queue.Recipient, error)
	Shapes     bool              // group by merge data too
	Step       func(what string) // told what begins; may be nil
}

// maxShapes is how many shapes are listed.
const maxShapes = 2000

// maxHistory is how many recipients of earlier batches are looked through, the
// latest batches first.
const maxHistory = 5_000_000

const (
	censusTableSQL = `
CREATE TEMP TABLE census (key text COLLATE "C", m text, problem text, shape bigint, place tid, cause text,
  since timestamptz) ON COMMIT DROP`
	censusInSQL = `CREATE TEMP TABLE census_in (address text, data jsonb) ON COMMIT DROP`
	// As submit_batch looks at them. %s is where they are. The shape is what
	// data_shape() says: written out for the outermost object, which most often is
	// all there is, it takes half the time.
	censusSQL = `
INSERT INTO pg_temp.census (key, m, problem, shape, place)
SELECT DISTINCT ON (key) key, m, problem,
       CASE WHEN $1 THEN hashtextextended(CASE WHEN jsonb_typeof(data) = 'object' THEN coalesce((
           SELECT string_agg(f.key || CASE
               WHEN value IN ('""', 'false', '0', '[]', '{}') THEN '-'
               WHEN jsonb_typeof(value) = 'object' THEN '{' || coalesce(enotify.data_shape(value), '') || '}'
               WHEN jsonb_typeof(value) = 'array' THEN '['
               ELSE '+' END, E'\n')
           FROM jsonb_each(data) f WHERE value <> 'null'), '') ELSE '' END, 0) END, place
FROM (SELECT lower(coalesce(m, '')) COLLATE "C" AS key, m, data, place,
             CASE WHEN jsonb_typeof(data) <> 'object' THEN 'data is not a JSON object'
               ELSE enotify.mailbox_problem(m) END AS problem
      FROM (SELECT enotify.mailbox(r.address) AS m, r.data, r.place FROM (%s) r OFFSET 0) s) s
ORDER BY key, place`
	censusSuppressSQL = `
UPDATE pg_temp.census c SET cause = x.cause, since = x.added_at
FROM (SELECT DISTINCT ON (x.address) x.address, x.cause, x.added_at FROM enotify.suppression x
  LEFT JOIN enotify.client k ON k.id = x.client_id
      WHERE (x.client_id IS NULL OR k.domain = $1) AND (x.until IS NULL OR x.until > now())
        ORDER BY x.address, x.client_id NULLS FIRST) x
WHERE c.problem IS NULL AND x.address = c.key`
	// Those of forgotten addresses, which are under a keyed hash.
	censusHashedSQL = `
UPDATE pg_temp.census c SET cause = x.cause, since = x.added_at
FROM enotify.suppression x LEFT JOIN enotify.client k ON k.id = x.client_id
WHERE (SELECT EXISTS (SELECT FROM enotify.hash_key)) AND (x.client_id IS NULL OR k.domain = $1)
  AND (x.until IS NULL OR x.until > now())
  AND c.problem IS NULL AND c.cause IS NULL AND x.address = enotify.hashed_address(c.key)`
)

const (
	censusGivenSQL = `SELECT count(*)::int FROM (%s) r`
	censusCountSQL = `
SELECT count(*)::int, count(*) FILTER (WHERE problem IS NULL AND cause IS NULL)::int FROM pg_temp.census`
	censusInvalidSQL = `
SELECT problem, count(*)::int, min(left(coalesce(m, ''), 100)) FROM pg_temp.census WHERE problem IS NOT NULL GROUP BY 1
  ORDER BY 2 DESC`
	censusCauseSQL = `
SELECT cause, count(*)::int, min(since), max(since) FROM pg_temp.census WHERE cause IS NOT NULL GROUP BY 1
  ORDER BY 2 DESC`
	censusDomainSQL = `
SELECT enotify.mailbox_domain(m) AS d, count(*)::int FROM pg_temp.census WHERE problem IS NULL AND cause IS NULL
  GROUP BY 1 ORDER BY 2 DESC, 1`
	// RFC 2142, and what nobody reads.
	censusRoleSQL = `
SELECT count(*)::int, coalesce((array_agg(m ORDER BY key))[1:10], '{}') FROM pg_temp.census
WHERE problem IS NULL AND cause IS NULL AND split_part(key, '@', 1) = ANY
	('{abuse,admin,administrator,billing,devnull,do-not-reply,donotreply,ftp,hostmaster,mailer-daemon,marketing,news,no-reply,noc,noreply,nobody,postmaster,root,sales,security,spam,support,sysadmin,usenet,uucp,webmaster,www}')`
	censusUTF8SQL = `
SELECT count(*)::int FROM pg_temp.census WHERE problem IS NULL AND cause IS NULL AND octet_length(m) <> length(m)`
	censusKnownSQL = `
WITH b AS (
	SELECT id, sum(total) OVER (ORDER BY id DESC) - total AS before FROM enotify.batch
	WHERE client_id = (SELECT id FROM enotify.client WHERE domain = $1) AND id <> $2 AND started_at IS NOT NULL
), recent AS (SELECT id FROM b WHERE before < $3)
SELECT (SELECT count(*)::int FROM recent),
       (SELECT count(*)::int FROM pg_temp.census c WHERE problem IS NULL AND cause IS NULL
        AND c.key IN (SELECT lower(r.address) COLLATE "C" FROM enotify.recipient r
          WHERE r.batch_id IN (SELECT id FROM recent)))`
	censusShapeSQL = `
SELECT s.shape, s.n, c.m, r.data
FROM (SELECT shape, count(*)::int AS n, min(key) AS key FROM pg_temp.census WHERE problem IS NULL AND cause IS NULL
  GROUP BY 1 ORDER BY 2 DESC LIMIT $1) s
JOIN pg_temp.census c ON c.key = s.key AND c.problem IS NULL JOIN (%s) r ON r.place = c.place
ORDER BY s.n DESC, s.key`
	censusAlikeSQL = `
SELECT m FROM pg_temp.census WHERE problem IS NULL AND cause IS NULL AND shape = $1 ORDER BY key LIMIT $2`
)

// Where recipients are. The number is the batch's; a statement that makes a
// table takes no parameters.
const (
	censusBatchSQL  = `SELECT state::text, duplicates FROM enotify.batch WHERE id = $1`
	censusStagedSQL = `SELECT r.address, r.data, r.ctid AS place FROM enotify.recipient_in r WHERE r.batch_id = %d`
	censusSealedSQL = `
SELECT r.address, r.data, r.ctid AS place FROM enotify.recipient r
  LEFT JOIN enotify.outcome o ON o.batch_id = r.batch_id AND o.seq = r.seq
WHERE r.batch_id = %d AND (o.seq IS NULL OR o.state IN ('invalid', 'suppressed'))`
	censusGivenInSQL = `SELECT r.address, r.data, r.ctid AS place FROM pg_temp.census_in r`
)

// TakeCensus counts, and calls examine with the result. Only while that runs
// can alike name up to n recipients of a shape.
func (r Reader) TakeCensus(
	ctx context.Context, q CensusQuery, examine func(c *Census, alike func(s Shape, n int) ([]string, error)) error,
) error {
	step := q.Step
	if step == nil {
		step = func(string) {}
	}
	return r.read(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SET LOCAL work_mem = '256MB'`); err != nil {
			return err
		}
		step("reading the recipients")
		from, repeated, err := censusFrom(ctx, tx, q)
		if err != nil {
			return err
		}
		c := &Census{}
		if err := c.take(ctx, tx, q, from, step); err != nil {
			return err
		}
		c.Given += repeated
		c.Duplicates += repeated
		return examine(c, func(s Shape, n int) ([]string, error) {
			rows, err := tx.Query(ctx, censusAlikeSQL, s.hash, n)
			if err != nil {
				return nil, err
			}
			return pgx.CollectRows(rows, pgx.RowTo[string])
		})
	}, censusTableSQL, censusInSQL)
}

// censusFrom says where the recipients are, and how many the seal has left out
// already because they repeated an address.
func censusFrom(ctx context.Context, tx pgx.Tx, q CensusQuery) (from string, repeated int, err error) {
	if q.Recipients != nil {
		_, err := queue.CopyRecipients(ctx, tx, pgx.Identifier{"pg_temp", "census_in"}, nil, q.Recipients)
		return censusGivenInSQL, 0, err
	}
	var state string
	switch err := tx.QueryRow(ctx, censusBatchSQL, q.Batch).Scan(&state, &repeated); {
	case errors.Is(err, pgx.ErrNoRows):
		return "", 0, &queue.Problem{Noun: queue.NounBatch, Name: fmt.Sprint(q.Batch), Err: queue.ErrNotFound}
	case err != nil:
		return "", 0, err
	case state == "draft":
		return fmt.Sprintf(censusStagedSQL, q.Batch), 0, nil
	}
	return fmt.Sprintf(censusSealedSQL, q.Batch), repeated, nil
}

func (c *Census) take(ctx context.Context, tx pgx.Tx, q CensusQuery, from string, step func(string)) error {
	if err := tx.QueryRow(ctx, fmt.Sprintf(censusGivenSQL, from)).Scan(&c.Given); err != nil {
		return err
	}
	step(fmt.Sprintf("looking at %d recipients", c.Given))
	if _, err := tx.Exec(ctx, fmt.Sprintf(censusSQL, from), q.Shapes); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `ANALYZE pg_temp.census`); err != nil {
		return err
	}
	step("comparing them with those suppressed")
	if _, err := tx.Exec(ctx, censusSuppressSQL, q.Client); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, censusHashedSQL, q.Client); err != nil {
		return err
	}
	step("counting")
	distinct := 0
	if err := tx.QueryRow(ctx, censusCountSQL).Scan(&distinct, &c.Sendable); err != nil {
		return err
	}
	c.Duplicates = c.Given - distinct
	if err := tx.QueryRow(ctx, censusRoleSQL).Scan(&c.Roles, &c.RoleExamples); err != nil {
		return err
	}
	if err := tx.QueryRow(ctx, censusUTF8SQL).Scan(&c.UTF8); err != nil {
		return err
	}
	for _, list := range []struct {
		sql  string
		take func(rows pgx.Rows) error
	}{
		{censusInvalidSQL, func(rows pgx.Rows) (err error) {
			c.Invalid, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Tally])
			return err
		}},
		{censusCauseSQL, func(rows pgx.Rows) (err error) {
			c.Suppressed, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Suppressions])
			return err
		}},
		{censusDomainSQL, func(rows pgx.Rows) (err error) {
			c.Domains, err = pgx.CollectRows(rows, pgx.RowToStructByPos[DomainCount])
			return err
		}},
	} {
		rows, err := tx.Query(ctx, list.sql)
		if err != nil {
			return err
		}
		if err := list.take(rows); err != nil {
			return err
		}
	}
	step("comparing them with earlier batches")
	if err := tx.QueryRow(ctx, censusKnownSQL, q.Client, q.Batch, maxHistory).Scan(&c.EarlierBatches,
		&c.Known); err != nil {
		return err
	}
	if !q.Shapes {
		return nil
	}
	step("looking at the merge data")
	rows, err := tx.Query(ctx, fmt.Sprintf(censusShapeSQL, from), maxShapes)
	if err != nil {
		return err
	}
	c.OtherShapes = c.Sendable
	c.Shapes, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (s Shape, err error) {
		err = row.Scan(&s.hash, &s.N, &s.Address, &s.Data)
		c.OtherShapes -= s.N
		return s, err
	})
	return err
}
