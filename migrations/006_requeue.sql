-- Sending again what a cured fault had refused, and closing what is in doubt.
--
-- A result of an earlier try may still be on its way: written by a node that was stopped, or twice because the answer
-- to the first write was lost. Two things keep it from undoing a requeue. Whoever writes results holds the advisory lock
-- of the batch, shared; a requeue holds it alone, so that a writer sees all of it or nothing. And tries go on from
-- requeues * 1000000, so that a result of an earlier try is known by its number; what it says is dropped, but for
-- "delivered", which is a fact and better than a second copy.

ALTER TABLE enotify.batch ADD COLUMN requeues int NOT NULL DEFAULT 0;
COMMENT ON COLUMN enotify.batch.requeues IS 'how often recipients of it were requeued';
COMMENT ON COLUMN enotify.retry.tries IS 'all tries so far; fences a result that is written twice or late. Begins at 1000000 times the requeue';
COMMENT ON COLUMN enotify.attempt.n IS 'number of the try, from 1; after the first requeue from 1000001, after the second from 2000001';

CREATE FUNCTION enotify.lock_results(batch bigint) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
    SELECT pg_advisory_xact_lock(1701736306, (batch % 2147483647)::int) -- "enor"
$$;
COMMENT ON FUNCTION enotify.lock_results(bigint) IS 'waits for whoever writes results of the batch, and keeps others out until the end of the transaction';

CREATE FUNCTION enotify.requeue_batch(batch bigint, class text, expires_at timestamptz DEFAULT NULL, OUT requeued int, OUT suppressed int)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    words text[] := enum_range(NULL::enotify.reply_class)::text[] || '{expired,unknown}';
    b     enotify.batch;
    ends  timestamptz;
BEGIN
    IF requeue_batch.class = 'not_begun' OR requeue_batch.class <> ALL (words) IS NOT FALSE THEN
        RAISE EXCEPTION 'nobody ends as %', quote_nullable(requeue_batch.class)
            USING ERRCODE = 'invalid_parameter_value', HINT = format('it is one of %s', array_to_string(array_remove(words, 'not_begun'), ', '));
    END IF;
    -- The guard locks the client, then its batches; who finishes a batch, its results and then the batch.
    PERFORM pg_advisory_xact_lock(1701736295, x.client_id) FROM enotify.batch x WHERE x.id = requeue_batch.batch;
    PERFORM enotify.lock_results(requeue_batch.batch);
    b := enotify.my_batch(requeue_batch.batch);
    IF b.state = 'draft' THEN
        RAISE EXCEPTION 'batch % is a draft; nothing of it was sent yet', b.id
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = format('enotify batch submit %s', b.id);
    ELSIF b.state = 'cancelled' THEN
        RAISE EXCEPTION 'batch % is cancelled, and that is final', b.id
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'put those recipients into a new batch';
    ELSIF b.state <> 'done' AND b.expires_at <= now() THEN
        RAISE EXCEPTION 'batch % has expired and is about to end', b.id
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'a running node ends it within a second or two; then requeue';
    END IF;
    ends := coalesce(requeue_batch.expires_at, CASE WHEN b.expires_at > now() THEN b.expires_at ELSE now() + interval '3 days' END);
    IF ends <= now() THEN
        RAISE EXCEPTION 'expires_at % has passed', ends USING ERRCODE = 'invalid_parameter_value';
    END IF;

    WITH chosen AS (
        SELECT o.seq, r.domain_id, d.grp, o.class, o.code, o.enhanced, o.reply, s.reply AS suppressed
        FROM enotify.outcome o
        JOIN enotify.recipient r ON r.batch_id = o.batch_id AND r.seq = o.seq
        JOIN enotify.domain d ON d.id = r.domain_id
        LEFT JOIN LATERAL enotify.suppressed(r.address, b.client_id) s ON true
        WHERE o.batch_id = b.id
          AND (o.state::text = requeue_batch.class OR o.class::text = requeue_batch.class AND o.state IN ('bounced', 'expired'))
    ), gone AS (
        DELETE FROM enotify.outcome o USING chosen c WHERE o.batch_id = b.id AND o.seq = c.seq AND c.suppressed IS NULL
    ), again AS (
        INSERT INTO enotify.retry (batch_id, seq, domain_id, grp, due_at, first_at, attempts, tries, class, code, enhanced, reply)
        SELECT b.id, c.seq, c.domain_id, c.grp, now(), now(), 0, (b.requeues + 1) * 1000000, coalesce(c.class, 'other'), c.code, c.enhanced, c.reply
        FROM chosen c WHERE c.suppressed IS NULL
        RETURNING seq
    )
    SELECT (SELECT count(*) FROM again), count(c.suppressed) INTO requeued, suppressed FROM chosen c;

    -- Who was not tried before the batch expired has no outcome yet, and would be tried now that it goes on.
    IF b.state = 'done' AND requeue_batch.class = 'expired' THEN
        SELECT requeued + coalesce(sum(d.last_seq - d.intent_seq), 0) INTO requeued FROM enotify.batch_domain d WHERE d.batch_id = b.id;
    ELSIF b.state = 'done' AND requeued > 0 THEN
        INSERT INTO enotify.outcome (batch_id, seq, state, at, reply)
        SELECT b.id, s, 'expired', b.finished_at, 'expired before the first try'
        FROM enotify.batch_domain d CROSS JOIN generate_series(d.intent_seq + 1, d.last_seq) s WHERE d.batch_id = b.id;
        UPDATE enotify.batch_domain d SET intent_seq = d.last_seq WHERE d.batch_id = b.id AND d.intent_seq < d.last_seq;
    END IF;
    IF requeued = 0 THEN
        RETURN;
    END IF;

    -- The guard looks again before any of them is sent to.
    UPDATE enotify.verdict v SET valid_until = now() WHERE v.client_id = b.client_id AND v.superseded_at IS NULL AND v.valid_until > now();
    UPDATE enotify.batch x
    SET state = CASE WHEN x.state IN ('paused', 'blocked') THEN x.state ELSE 'queued' END,
        reason = CASE WHEN x.state IN ('paused', 'blocked') THEN x.reason ELSE format('%s to be sent again: %s', requeued, requeue_batch.class) END,
        expires_at = ends, finished_at = NULL, requeues = x.requeues + 1
    WHERE x.id = b.id;
    IF b.state IN ('queued', 'paused', 'blocked') THEN -- the trigger logs the others
        INSERT INTO enotify.batch_log (batch_id, from_state, to_state, reason)
        VALUES (b.id, b.state, b.state, format('%s to be sent again: %s', requeued, requeue_batch.class));
    END IF;
END $$;
COMMENT ON FUNCTION enotify.requeue_batch IS
    'sends again exactly those who bounced or expired with a class of reply, who expired, or who are unknown; says how many, and how many not since they are suppressed meanwhile. The guard looks first. A batch that has expired gets three days more, or what expires_at says';

CREATE FUNCTION enotify.mark_delivered(batch bigint) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    b      enotify.batch;
    marked int;
BEGIN
    PERFORM enotify.lock_results(mark_delivered.batch);
    b := enotify.my_batch(mark_delivered.batch);
    UPDATE enotify.outcome o SET state = 'delivered', class = NULL, at = now(), reply = concat_ws('; ', format('taken for delivered by %s', session_user), o.reply)
    WHERE o.batch_id = b.id AND o.state = 'unknown';
    GET DIAGNOSTICS marked = ROW_COUNT;
    RETURN marked;
END $$;
COMMENT ON FUNCTION enotify.mark_delivered IS 'closes those of a batch who are unknown as delivered, and sends nothing; says how many';

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA enotify FROM PUBLIC;
GRANT EXECUTE ON FUNCTION enotify.requeue_batch, enotify.mark_delivered, enotify.suppressed TO enotify_admin;
