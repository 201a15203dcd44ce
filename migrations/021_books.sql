-- Batches are listed with one look at those who wait, pruned with what was in doubt of them, and moved on by a sender
-- that may write what it moves and nothing else.

-- A count of the deferred for each batch read all of them for each batch, where one batch has most of them.
CREATE OR REPLACE VIEW enotify.batch_status WITH (security_barrier) AS
SELECT b.id, b.idem_key, c.domain AS client, b.state::text AS state, b.reason, b.priority, b.total,
       CASE WHEN b.state NOT IN ('done', 'cancelled') THEN p.untried ELSE 0 END AS pending,
       p.intents - (n.outcomes - (b.total - b.sendable)) - coalesce(r.waiting, 0) AS sending,
       coalesce(r.waiting, 0) AS deferred,
       n.delivered, n.bounced, n.suppressed, n.invalid,
       n.expired + CASE WHEN b.state = 'done' THEN p.untried ELSE 0 END AS expired,
       n.unknown,
       n.cancelled + CASE WHEN b.state = 'cancelled' THEN p.untried ELSE 0 END AS cancelled,
       b.duplicates, b.from_address, b.subject, b.on_unknown, b.created_by, b.created_at, b.submitted_at, b.not_before, b.expires_at, b.started_at, b.finished_at, b.pruned_at
FROM enotify.batch b
JOIN enotify.client c ON c.id = b.client_id
CROSS JOIN LATERAL (
    SELECT coalesce(sum(k.n), 0)::int AS outcomes,
           coalesce(sum(k.n) FILTER (WHERE k.state = 'delivered'), 0)::int AS delivered,
           coalesce(sum(k.n) FILTER (WHERE k.state = 'bounced'), 0)::int AS bounced,
           coalesce(sum(k.n) FILTER (WHERE k.state = 'suppressed'), 0)::int AS suppressed,
           coalesce(sum(k.n) FILTER (WHERE k.state = 'invalid'), 0)::int AS invalid,
           coalesce(sum(k.n) FILTER (WHERE k.state = 'expired'), 0)::int AS expired,
           coalesce(sum(k.n) FILTER (WHERE k.state = 'unknown'), 0)::int AS unknown,
           coalesce(sum(k.n) FILTER (WHERE k.state = 'cancelled'), 0)::int AS cancelled
    FROM enotify.batch_count k WHERE k.batch_id = b.id
) n
CROSS JOIN LATERAL (
    SELECT coalesce(sum(d.intent_seq - d.first_seq + 1), 0)::int AS intents, coalesce(sum(d.last_seq - d.intent_seq), 0)::int AS untried
    FROM enotify.batch_domain d WHERE d.batch_id = b.id
) p
LEFT JOIN (
    SELECT t.batch_id, count(*)::int AS waiting FROM enotify.retry t WHERE t.intent_at IS NULL GROUP BY t.batch_id
) r ON r.batch_id = b.id
WHERE b.client_id = ANY ((SELECT enotify.my_clients())::int[]);

CREATE OR REPLACE FUNCTION enotify.prune_batch(batch bigint, after int DEFAULT 0, most int DEFAULT 20000) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    b    enotify.batch;
    upto int := prune_batch.after + greatest(prune_batch.most, 1);
BEGIN
    PERFORM enotify.lock_results(prune_batch.batch);
    b := enotify.my_batch(prune_batch.batch);
    IF b.finished_at IS NULL THEN
        RAISE EXCEPTION 'batch % is %, and has not finished', b.id, b.state
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = format('enotify batch show %s says what it waits for', b.id);
    END IF;
    IF b.pruned_at IS NULL THEN
        -- Who was never tried has no outcome; the view counts them by what is dropped here.
        INSERT INTO enotify.batch_count AS c (batch_id, state, shard, n)
        SELECT b.id, CASE WHEN b.state = 'done' THEN 'expired' ELSE 'cancelled' END::enotify.recipient_state, 0, sum(d.last_seq - d.intent_seq)
        FROM enotify.batch_domain d WHERE d.batch_id = b.id HAVING sum(d.last_seq - d.intent_seq) > 0
        ON CONFLICT (batch_id, state, shard) DO UPDATE SET n = c.n + excluded.n;
        DELETE FROM enotify.batch_domain d WHERE d.batch_id = b.id;
        DELETE FROM enotify.attachment a WHERE a.batch_id = b.id;
        DELETE FROM enotify.doubt d WHERE d.batch_id = b.id;
        UPDATE enotify.batch x SET pruned_at = now(), sendable = 0, body_text = '', body_html = '' WHERE x.id = b.id;
    END IF;
    DELETE FROM enotify.recipient r WHERE r.batch_id = b.id AND r.seq > prune_batch.after AND r.seq <= upto;
    DELETE FROM enotify.outcome o WHERE o.batch_id = b.id AND o.seq > prune_batch.after AND o.seq <= upto;
    DELETE FROM enotify.attempt t WHERE t.batch_id = b.id AND t.seq > prune_batch.after AND t.seq <= upto;
    RETURN CASE WHEN upto < b.total THEN upto END;
END $$;
-- What a node moves. FOR SHARE of a batch needs one of these as well.
REVOKE UPDATE ON enotify.batch, enotify.batch_domain, enotify.domain FROM enotify_sender;
GRANT UPDATE (state, reason, started_at, turn_at, surveyed_at, finished_at, requeues) ON enotify.batch TO enotify_sender;
GRANT UPDATE (intent_seq, grp) ON enotify.batch_domain TO enotify_sender;
GRANT UPDATE (grp, site_id, surveyed_at, surveyed_until, no_mail, no_mail_code, no_mail_enhanced, no_mail_reply) ON enotify.domain TO enotify_sender;

REVOKE ALL ON ALL TABLES IN SCHEMA enotify FROM PUBLIC;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA enotify FROM PUBLIC;
