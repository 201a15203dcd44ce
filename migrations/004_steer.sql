-- What operators call, what everybody may look at, and who may do which.

CREATE FUNCTION enotify.pause_batch(batch bigint, reason text DEFAULT '') RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE b enotify.batch := enotify.my_batch(batch);
BEGIN
    IF b.state = 'paused' THEN
        RETURN;
    ELSIF b.state NOT IN ('queued', 'sending', 'retrying', 'blocked') THEN
        RAISE EXCEPTION 'batch % is %; there is nothing to pause', b.id, b.state USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    UPDATE enotify.batch x SET state = 'paused', reason = coalesce(pause_batch.reason, '') WHERE x.id = b.id;
END $$;
COMMENT ON FUNCTION enotify.pause_batch IS 'no new transaction of the batch begins after 1 s; those under way finish and are recorded';

CREATE FUNCTION enotify.resume_batch(batch bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE b enotify.batch := enotify.my_batch(batch);
BEGIN
    IF b.state IN ('queued', 'sending', 'retrying') THEN
        RETURN;
    ELSIF b.state NOT IN ('paused', 'blocked') THEN
        RAISE EXCEPTION 'batch % is %; only a paused or blocked batch can be resumed', b.id, b.state USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    UPDATE enotify.verdict v SET valid_until = now() WHERE v.client_id = b.client_id AND v.superseded_at IS NULL AND b.state = 'blocked';
    UPDATE enotify.batch x SET state = 'queued', reason = '' WHERE x.id = b.id;
END $$;
COMMENT ON FUNCTION enotify.resume_batch IS 'puts a paused batch back into the queue; has the guard look again at once at a blocked one';

CREATE FUNCTION enotify.cancel_batch(batch bigint, reason text DEFAULT '') RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE b enotify.batch := enotify.my_batch(batch);
BEGIN
    IF b.state = 'cancelled' THEN
        RETURN;
    ELSIF b.state = 'done' THEN
        RAISE EXCEPTION 'batch % is done; there is nothing to cancel', b.id USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    DELETE FROM enotify.recipient_in r WHERE r.batch_id = b.id;
    UPDATE enotify.batch x SET state = 'cancelled', reason = coalesce(cancel_batch.reason, '') WHERE x.id = b.id;
END $$;
COMMENT ON FUNCTION enotify.cancel_batch IS 'for good: who has not been tried is not sent to; transactions under way finish and are recorded';

-- Views. They show each login what it may see, and leak nothing through the plan (security_barrier).

CREATE VIEW enotify.batch_status WITH (security_barrier) AS
SELECT b.id, b.idem_key, c.domain AS client, b.state::text AS state, b.reason, b.priority, b.total,
       CASE WHEN b.state NOT IN ('done', 'cancelled') THEN p.untried ELSE 0 END AS pending,
       p.intents - (n.outcomes - (b.total - b.sendable)) - r.waiting AS sending,
       r.waiting AS deferred,
       n.delivered, n.bounced, n.suppressed, n.invalid,
       n.expired + CASE WHEN b.state = 'done' THEN p.untried ELSE 0 END AS expired,
       n.unknown,
       n.cancelled + CASE WHEN b.state = 'cancelled' THEN p.untried ELSE 0 END AS cancelled,
       b.duplicates, b.from_address, b.subject, b.on_unknown, b.created_by, b.created_at, b.submitted_at, b.not_before, b.expires_at, b.started_at, b.finished_at
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
CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE t.intent_at IS NULL)::int AS waiting FROM enotify.retry t WHERE t.batch_id = b.id
) r
WHERE b.client_id = ANY ((SELECT enotify.my_clients())::int[]);
COMMENT ON VIEW enotify.batch_status IS
    'a line per batch of one''s own, its recipients counted by state; the counts from pending to cancelled add up to total. sending: under way, or in doubt until the lease of a dead node ends';

CREATE VIEW enotify.delivery WITH (security_barrier) AS
SELECT r.batch_id, r.seq, r.address, d.name AS domain,
       CASE WHEN o.seq IS NOT NULL THEN o.state::text
            WHEN t.seq IS NOT NULL AND t.intent_at IS NULL THEN 'deferred'
            WHEN t.seq IS NOT NULL OR r.seq <= p.intent_seq THEN 'sending'
            WHEN b.state = 'cancelled' THEN 'cancelled'
            WHEN b.state = 'done' THEN 'expired'
            ELSE 'pending' END AS state,
       coalesce(o.class, t.class)::text AS class, coalesce(o.code, t.code)::int AS code,
       coalesce(nullif(concat_ws(' ', o.enhanced, o.reply), ''), nullif(concat_ws(' ', t.enhanced, t.reply), '')) AS reply,
       o.at, t.due_at AS next_try_at, t.attempts
FROM enotify.recipient r
JOIN enotify.batch b ON b.id = r.batch_id
LEFT JOIN enotify.domain d ON d.id = r.domain_id
LEFT JOIN enotify.batch_domain p ON p.batch_id = r.batch_id AND p.domain_id = r.domain_id
LEFT JOIN enotify.outcome o ON o.batch_id = r.batch_id AND o.seq = r.seq
LEFT JOIN enotify.retry t ON t.batch_id = r.batch_id AND t.seq = r.seq
WHERE b.client_id = ANY ((SELECT enotify.my_clients())::int[]);
COMMENT ON VIEW enotify.delivery IS 'a line per recipient of one''s own batches, with its state and what the receiver said; ask with batch_id';

-- Grants. PUBLIC has nothing: functions are executable by PUBLIC when they are made, so every migration ends like this one.

REVOKE ALL ON ALL TABLES IN SCHEMA enotify FROM PUBLIC;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA enotify FROM PUBLIC;
REVOKE ALL ON SCHEMA enotify FROM PUBLIC;
GRANT USAGE ON SCHEMA enotify TO enotify_app, enotify_admin, enotify_sender;

GRANT EXECUTE ON FUNCTION enotify.create_batch, enotify.add_recipients, enotify.add_attachment, enotify.submit_batch, enotify.enqueue, enotify.my_clients
    TO enotify_app, enotify_admin;
GRANT INSERT (batch_id, address, data) ON enotify.recipient_in TO enotify_app, enotify_admin;
GRANT SELECT ON enotify.batch_status, enotify.delivery TO enotify_app, enotify_admin, enotify_sender;
GRANT SELECT ON enotify.schema_version TO enotify_app; -- the program looks whether it fits the schema

GRANT EXECUTE ON FUNCTION enotify.pause_batch, enotify.resume_batch, enotify.cancel_batch TO enotify_admin;
GRANT EXECUTE ON FUNCTION enotify.mailbox, enotify.mailbox_problem, enotify.a_labels, enotify.punycode TO enotify_app, enotify_admin;
GRANT SELECT ON ALL TABLES IN SCHEMA enotify TO enotify_admin, enotify_sender;
GRANT INSERT, UPDATE, DELETE ON enotify.client, enotify.client_login, enotify.destination, enotify.suppression TO enotify_admin;

GRANT EXECUTE ON FUNCTION enotify.my_clients, enotify.suppressed TO enotify_sender;
GRANT UPDATE ON enotify.batch, enotify.batch_domain, enotify.lease TO enotify_sender;
GRANT INSERT, UPDATE, DELETE ON enotify.outcome, enotify.retry, enotify.attempt, enotify.suppression, enotify.node, enotify.verdict TO enotify_sender;
