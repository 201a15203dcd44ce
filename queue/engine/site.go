package engine

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
)

// Domains change their group, and batches pass their survey, one after the other:
// a batch that was sealed meanwhile is not missed.
const lockSurveySQL = `SELECT enotify.lock_survey()`

// One batch of each client and login at a time: a login with very many, whose domains no
// DNS answers for, keeps nobody else waiting.
const unsurveyedSQL = `
WITH RECURSIVE clients AS (
	(SELECT client_id, created_by FROM enotify.batch
		WHERE finished_at IS NULL AND state = 'queued' AND surveyed_at IS NULL
		ORDER BY client_id, created_by LIMIT 1)
	UNION ALL
	SELECT n.* FROM clients c CROSS JOIN LATERAL (
		SELECT b.client_id, b.created_by FROM enotify.batch b
		WHERE b.finished_at IS NULL AND b.state = 'queued' AND b.surveyed_at IS NULL
			AND (b.client_id, b.created_by) > (c.client_id, c.created_by)
		ORDER BY b.client_id, b.created_by LIMIT 1) n
), firsts AS MATERIALIZED (
	SELECT f.id FROM clients c CROSS JOIN LATERAL (
		SELECT b.id FROM enotify.batch b
		WHERE b.client_id = c.client_id AND b.created_by = c.created_by
		  AND b.finished_at IS NULL AND b.state = 'queued' AND b.surveyed_at IS NULL
		  AND b.expires_at > now() AND (b.not_before IS NULL OR b.not_before <= now() + interval '1 minute')
		ORDER BY b.priority DESC, b.submitted_at, b.id LIMIT 1
	) f
)
SELECT b.id, b.priority FROM enotify.batch b WHERE b.id = ANY (ARRAY(SELECT id FROM firsts)) AND b.state = 'queued'
ORDER BY b.priority DESC, b.submitted_at, b.id LIMIT 20 FOR NO KEY UPDATE SKIP LOCKED`

// unsurveyed lists the first batch of each client and login that waits for its survey,
// the oldest of the highest priority first.
func (db *store) unsurveyed(ctx context.Context) ([]turn, error) {
	rows, err := db.pool.Query(ctx, unsurveyedSQL)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[turn])
}

type domainName struct {
	ID   int32
	Name string
}

// A domain is known to a batch when its answer still holds, or when it was
// asked for since the batch was submitted: a TTL shorter than the survey of all
// must not have it begin again and again.
const unknownDomainSQL = `(k.surveyed_at IS NULL OR k.surveyed_until <= now() AND k.surveyed_at < b.submitted_at)`

// The domain k of a range d, and the site s of a domain k, each by its number: when a batch
// has brought a hundred thousand new domains, the planner still takes them to be few, and
// would read them all for every other batch.
const (
	domainSQL = `(SELECT * FROM enotify.domain x WHERE x.id = d.domain_id OFFSET 0) k`
	siteSQL   = `(SELECT * FROM enotify.site x WHERE x.id = k.site_id OFFSET 0) s`
)

const unknownSQL = `
FROM enotify.batch b JOIN enotify.batch_domain d ON d.batch_id = b.id CROSS JOIN LATERAL ` + domainSQL + `
WHERE b.id = $1 AND d.intent_seq < d.last_seq AND ` + unknownDomainSQL

// The domains of most recipients first: they end last.
const unknownDomainsSQL = `SELECT k.id, k.name ` + unknownSQL +
	` AND k.grp = ANY ($2) ORDER BY d.last_seq - d.intent_seq DESC`

// unknownDomains lists the domains of a batch that must be asked for, in the given groups.
func (db *store) unknownDomains(ctx context.Context, batch int64, grps []int16) ([]domainName, error) {
	rows, err := db.pool.Query(ctx, unknownDomainsSQL, batch, grps)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[domainName])
}

// Sites get a group by a hash of their name, as domains do.
const (
	addSitesSQL = `
INSERT INTO enotify.site (name, grp)
SELECT n, (hashtextextended(n, 0) & 63)::smallint FROM (SELECT DISTINCT unnest($1::text[]) AS n) s
WHERE n <> '' AND NOT EXISTS (SELECT FROM enotify.site k WHERE k.name = s.n) ORDER BY n
ON CONFLICT (name) DO NOTHING`
	// A domain whose site is not known now stays at the site that was known before.
	recordSQL = `
WITH f AS MATERIALIZED (
	SELECT f.* FROM unnest($1::int[], $2::text[], $3::float8[], $4::text[]::enotify.reply_class[], $5::smallint[],
		$6::text[], $7::text[])
	f (domain_id, site, seconds, class, code, enhanced, reply)
	JOIN enotify.domain k ON k.id = f.domain_id WHERE k.id = ANY ($1) ORDER BY k.id FOR NO KEY UPDATE OF k
)
UPDATE enotify.domain k
SET site_id = CASE WHEN f.site = '' THEN k.site_id ELSE (SELECT s.id FROM enotify.site s WHERE s.name = f.site) END,
  surveyed_at = clock_timestamp(),
  surveyed_until = clock_timestamp() + make_interval(secs => f.seconds),
    no_mail = f.class, no_mail_code = f.code, no_mail_enhanced = f.enhanced, no_mail_reply = nullif(f.reply, '')
FROM f WHERE k.id = f.domain_id AND k.id = ANY ($1)`
)

// record keeps the findings, and moves the domains to the groups of their sites.
func (db *store) record(ctx context.Context, findings []finding) error {
	n := len(findings)
	ids, seconds, sites := make([]int32, n), make([]float64, n), make([]string, n)
	classes, codes, enhanced, replies := make([]*string, n), make([]*int16, n), make([]*string, n), make([]string, n)
	for i := range findings {
		f := &findings[i]
		ids[i], seconds[i] = f.domainID, f.keptFor().Seconds()
		if f.err != nil {
			continue
		}
		sites[i] = f.Site
		if no := f.NoMail; no != nil {
			reply := no.Reply.Storable()
			classes[i], codes[i] = orNull(string(no.Class)), orNull(int16(reply.Code))
			enhanced[i], replies[i] = orNull(reply.Enhanced), reply.Text
		}
	}
	err := db.inLightTx(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, addSitesSQL, sites); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, recordSQL, ids, sites, seconds, classes, codes, enhanced, replies)
		return err
	})
	if err != nil {
		return fmt.Errorf("record a survey: %w", err)
	}
	return db.inLightTx(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, lockSurveySQL); err != nil {
			return err
		}
		return regroup(ctx, tx, ids)
	})
}

const (
	misplacedSQL = `
SELECT k.id, k.grp FROM enotify.domain k CROSS JOIN LATERAL ` + siteSQL + `
  WHERE k.id = ANY ($1) AND k.grp <> s.grp
ORDER BY k.id FOR NO KEY UPDATE OF k`
	// With this lock none of the groups gets a new holder: an adoption skips them.
	// Neither a heartbeat nor a release waits for it.
	holdersSQL = `
SELECT DISTINCT node_id FROM (SELECT node_id FROM enotify.lease WHERE grp = ANY ($1) ORDER BY grp FOR KEY SHARE) l
  WHERE node_id IS NOT NULL ORDER BY node_id`
	regroupSQL = `
WITH misplaced AS (
	SELECT k.id, s.grp FROM enotify.domain k CROSS JOIN LATERAL ` + siteSQL + `
		WHERE k.id = ANY ($1) AND k.grp = ANY ($2) AND k.grp <> s.grp
), open AS (
	SELECT id, state, passed_at FROM enotify.batch WHERE finished_at IS NULL AND state <> 'draft'
), busy AS (
	SELECT DISTINCT d.domain_id FROM open b JOIN enotify.batch_domain d ON d.batch_id = b.id
		JOIN misplaced m ON m.id = d.domain_id
	WHERE (b.state IN ('sending', 'draining') OR b.state = 'retrying' AND b.passed_at IS NOT NULL)
		AND d.intent_seq < d.last_seq
	   OR d.intent_seq >= d.first_seq AND d.intent_seq - d.first_seq + 1 >
		(SELECT count(*) FROM enotify.outcome o WHERE o.batch_id = d.batch_id
			AND o.seq BETWEEN d.first_seq AND d.intent_seq)
		+ (SELECT count(*) FROM enotify.retry t WHERE t.batch_id = d.batch_id
			AND t.seq BETWEEN d.first_seq AND d.intent_seq AND t.intent_at IS NULL)
), moved AS (
	UPDATE enotify.domain k SET grp = m.grp FROM misplaced m
		WHERE k.id = m.id AND m.id NOT IN (SELECT domain_id FROM busy)
	RETURNING k.id, k.grp
), ranges AS (
	UPDATE enotify.batch_domain d SET grp = m.grp FROM moved m, open b WHERE d.batch_id = b.id AND d.domain_id = m.id
)
UPDATE enotify.retry t SET grp = m.grp FROM moved m WHERE t.domain_id = m.id`
)

// regroup moves domains to the lease groups of their sites, with everything that is
// open of them. It needs lock_survey().
//
// A domain must not be served by two nodes at any moment. So it moves only when
// nothing of it is under way: all that was intended has an outcome, or waits to
// be tried again. That stays so while this transaction runs, since it keeps the
// intents of the groups' holders out (they take the same lock, shared), and the
// groups from being adopted; an intent that comes after it finds the domain in
// another group than it was picked for, and is fenced off. What a batch in
// state sending or draining has not tried stays too: the new holder would not know of it.
// A domain that cannot move now is tried again when its next batch takes the turn.
func regroup(ctx context.Context, tx pgx.Tx, domains []int32) error {
	rows, err := tx.Query(ctx, misplacedSQL, domains)
	if err != nil {
		return err
	}
	var misplaced []int32
	var grps []int16
	var id int32
	var grp int16
	if _, err := pgx.ForEachRow(rows, []any{&id, &grp}, func() error {
		misplaced = append(misplaced, id)
		if !slices.Contains(grps, grp) {
			grps = append(grps, grp)
		}
		return nil
	}); err != nil || len(misplaced) == 0 {
		return err
	}
	rows, err = tx.Query(ctx, holdersSQL, grps)
	if err != nil {
		return err
	}
	holders, err := pgx.CollectRows(rows, pgx.RowTo[int32])
	if err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, lockNodesSQL, holders); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, regroupSQL, misplaced, grps); err != nil {
		return fmt.Errorf("move domains to the groups of their sites: %w", err)
	}
	return nil
}

const batchDomainsSQL = `
SELECT k.id FROM enotify.batch_domain d CROSS JOIN LATERAL ` + domainSQL + ` CROSS JOIN LATERAL ` + siteSQL + `
WHERE d.batch_id = $1 AND k.grp <> s.grp`

// regroupBatch moves the domains of a batch that are not in the group of their site.
func regroupBatch(ctx context.Context, tx pgx.Tx, batch int64) error {
	if _, err := tx.Exec(ctx, lockSurveySQL); err != nil {
		return err
	}
	rows, err := tx.Query(ctx, batchDomainsSQL, batch)
	if err != nil {
		return err
	}
	domains, err := pgx.CollectRows(rows, pgx.RowTo[int32])
	if err != nil || len(domains) == 0 {
		return err
	}
	return regroup(ctx, tx, domains)
}

// The ranges of a domain that takes no mail get their intent and their
// outcomes in one statement: an intent of a node comes before it, and then its
// recipients are not among these, or after it, and then there is nothing left
// to intend. So nobody gets two outcomes, and none is in doubt.
const failNoMailSQL = `
WITH b AS (
	SELECT id, submitted_at FROM enotify.batch WHERE id = $1 AND state = 'queued'
		AND expires_at > now() FOR SHARE SKIP LOCKED
), dead AS (
	SELECT d.domain_id, d.intent_seq, d.last_seq, k.no_mail, k.no_mail_code, k.no_mail_enhanced, k.no_mail_reply
	FROM b JOIN enotify.batch_domain d ON d.batch_id = b.id CROSS JOIN LATERAL ` + domainSQL + `
	WHERE d.intent_seq < d.last_seq AND k.no_mail IS NOT NULL
		AND (k.surveyed_until > now() OR k.surveyed_at >= b.submitted_at)
	ORDER BY d.domain_id LIMIT 500 FOR UPDATE OF d
), moved AS (
	UPDATE enotify.batch_domain d SET intent_seq = x.last_seq FROM dead x
		WHERE d.batch_id = $1 AND d.domain_id = x.domain_id
)
INSERT INTO enotify.outcome (batch_id, seq, state, class, code, enhanced, reply)
SELECT r.batch_id, r.seq, 'bounced', x.no_mail, x.no_mail_code, x.no_mail_enhanced, x.no_mail_reply
FROM dead x JOIN enotify.recipient r ON r.batch_id = $1 AND r.seq > x.intent_seq AND r.seq <= x.last_seq`

// failNoMail gives the recipients at domains that take no mail their outcome, some
// domains at a time, and reports whether there may be more.
func (db *store) failNoMail(ctx context.Context, batch int64) (more bool, err error) {
	tag, err := db.pool.Exec(ctx, failNoMailSQL, batch)
	if err != nil {
		return false, fmt.Errorf("recipients at domains that take no mail: %w", err)
	}
	return tag.RowsAffected() > 0, nil
}

const (
	// For recipients that were sealed or requeued while their domain moved. None of
	// them is under way.
	sameGroupsSQL = `
WITH moved AS (
	UPDATE enotify.batch_domain d SET grp = (SELECT k.grp FROM enotify.domain k WHERE k.id = d.domain_id)
	FROM enotify.batch b WHERE b.id = $1 AND b.surveyed_at IS NULL AND d.batch_id = b.id
		AND d.grp <> (SELECT k.grp FROM enotify.domain k WHERE k.id = d.domain_id)
)
UPDATE enotify.retry t SET grp = (SELECT k.grp FROM enotify.domain k WHERE k.id = t.domain_id)
FROM enotify.batch b WHERE b.id = $1 AND b.surveyed_at IS NULL AND t.batch_id = b.id AND t.intent_at IS NULL
  AND t.grp <> (SELECT k.grp FROM enotify.domain k WHERE k.id = t.domain_id)`
	surveyedSQL = `
UPDATE enotify.batch u SET surveyed_at = now()
WHERE u.id = $1 AND u.surveyed_at IS NULL AND u.state = 'queued' AND ($2 OR NOT EXISTS (SELECT ` + unknownSQL + `))`
)

// surveyed notes that all domains of a batch are known, if they are; with anyway it does so
// in any case. The batch may then take the turn.
func (db *store) surveyed(ctx context.Context, batch int64, anyway bool) (done bool, err error) {
	err = db.inLightTx(ctx, func(tx pgx.Tx) error {
		if err := regroupBatch(ctx, tx, batch); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, sameGroupsSQL, batch); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, shortWaitSQL); err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, surveyedSQL, batch, anyway)
		done = tag.RowsAffected() > 0
		return err
	})
	return done, err
}
