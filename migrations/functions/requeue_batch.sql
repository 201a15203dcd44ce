-- A result of an earlier try may still be on its way: written by a node that was stopped, or written twice because the
-- answer to the first write was lost. Two things keep it from undoing a requeue. The lock on the batch's results lets a
-- writer see all of the requeue or nothing of it. And the number of tries goes on from the last one, so that a
-- result of an earlier try is known by its number and dropped, unless it says "delivered": a fact, and better than a
-- second copy.
CREATE OR REPLACE FUNCTION enotify.requeue_batch(
    batch bigint, class text, expires_at timestamptz DEFAULT NULL, OUT requeued int, OUT suppressed int
)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    words text[] := enum_range(NULL::enotify.reply_class)::text[] || '{expired,unknown}';
    b     enotify.batch;
    ends  timestamptz;
BEGIN
    IF requeue_batch.class = 'not_begun' OR requeue_batch.class <> ALL (words) IS NOT FALSE THEN
        RAISE EXCEPTION 'no recipient ends as %', quote_nullable(requeue_batch.class)
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = format('it is one of %s', array_to_string(array_remove(words, 'not_begun'), ', '));
    END IF;
    -- In the order of the guard and of transactions that finish a batch: client, results, batch.
    PERFORM FROM enotify.client c
    WHERE c.id = (SELECT x.client_id FROM enotify.batch x WHERE x.id = requeue_batch.batch) FOR NO KEY UPDATE;
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
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'a running node ends it within a second or two; then requeue';
    END IF;
    IF enotify.time_problem('expires_at', requeue_batch.expires_at) IS NOT NULL THEN
        RAISE EXCEPTION '%', enotify.time_problem('expires_at', requeue_batch.expires_at)
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    ends := coalesce(requeue_batch.expires_at,
                     CASE WHEN b.expires_at > now() THEN b.expires_at ELSE now() + interval '3 days' END);
    IF ends <= now() THEN
        RAISE EXCEPTION 'expires_at % has passed', ends USING ERRCODE = 'invalid_parameter_value';
    END IF;

    WITH chosen AS (
        SELECT o.seq, r.domain_id, d.grp, o.class, o.code, o.enhanced, o.reply,
               CASE WHEN r.address = '' OR (SELECT EXISTS (SELECT FROM enotify.hash_key))
                      OR (SELECT true FROM enotify.suppression p WHERE p.address = lower(r.address) LIMIT 1)
               THEN (SELECT s.reply FROM enotify.suppressed(r.address, b.client_id) s) END AS suppressed,
               -- The last try was logged, or a node died in it. Any other was the first.
               greatest(
                   1,
                   (SELECT max(a.n) FROM enotify.attempt a WHERE a.batch_id = o.batch_id AND a.seq = o.seq),
                   (SELECT u.tries FROM enotify.doubt u WHERE u.batch_id = o.batch_id AND u.seq = o.seq)) AS tries
        FROM enotify.outcome o
        JOIN enotify.recipient r ON r.batch_id = o.batch_id AND r.seq = o.seq
        JOIN enotify.domain d ON d.id = r.domain_id
        WHERE o.batch_id = b.id
          AND (o.state::text = requeue_batch.class
               OR o.class::text = requeue_batch.class AND o.state IN ('bounced', 'expired', 'invalid'))
    ), gone AS (
        DELETE FROM enotify.outcome o USING chosen c WHERE o.batch_id = b.id AND o.seq = c.seq AND c.suppressed IS NULL
    ), again AS (
        INSERT INTO enotify.retry
            (batch_id, seq, domain_id, grp, due_at, first_at, attempts, tries, requeued, class, code, enhanced, reply)
        SELECT b.id, c.seq, c.domain_id, c.grp, now(), now(), 0, c.tries, true,
               coalesce(c.class, 'other'), c.code, c.enhanced, c.reply
        FROM chosen c WHERE c.suppressed IS NULL
        RETURNING seq
    )
    SELECT (SELECT count(*) FROM again), count(c.suppressed) INTO requeued, suppressed FROM chosen c;

    -- Recipients not tried before the batch expired have no outcome yet. They are requeued when the class is expired,
    -- and else get that outcome, because they would be tried once the batch goes on.
    IF b.state = 'done' AND requeue_batch.class = 'expired' THEN
        SELECT requeued + coalesce(sum(d.last_seq - d.intent_seq), 0) INTO requeued
        FROM enotify.batch_domain d WHERE d.batch_id = b.id;
    ELSIF b.state = 'done' AND requeued > 0 THEN
        INSERT INTO enotify.outcome (batch_id, seq, state, at, reply)
        SELECT b.id, s, 'expired', b.finished_at, 'expired before the first try'
        FROM enotify.batch_domain d CROSS JOIN generate_series(d.intent_seq + 1, d.last_seq) s WHERE d.batch_id = b.id;
        UPDATE enotify.batch_domain d SET intent_seq = d.last_seq
        WHERE d.batch_id = b.id AND d.intent_seq < d.last_seq;
    END IF;
    IF requeued = 0 THEN
        RETURN;
    END IF;

    -- The guard checks the client again before any of them is sent to.
    UPDATE enotify.verdict v SET valid_until = now()
    WHERE v.client_id = b.client_id AND v.superseded_at IS NULL AND v.valid_until > now();
    UPDATE enotify.batch x
    SET state = CASE WHEN x.state IN ('paused', 'blocked') THEN x.state ELSE 'queued' END,
        reason = CASE WHEN x.state IN ('paused', 'blocked') THEN x.reason
                      ELSE format('%s to be sent again: %s', requeued, requeue_batch.class) END,
        expires_at = ends, finished_at = NULL, requeues = x.requeues + 1
    WHERE x.id = b.id;
    IF b.state IN ('queued', 'paused', 'blocked') THEN -- the trigger logs the others, whose state changes
        INSERT INTO enotify.batch_log (batch_id, from_state, to_state, reason)
        VALUES (b.id, b.state, b.state, format('%s to be sent again: %s', requeued, requeue_batch.class));
    END IF;
END $$;

COMMENT ON FUNCTION enotify.requeue_batch IS
    'sends again to the recipients that ended as the class says: the class of the reply of those that bounced or '
    'expired, or expired, or unknown. Returns how many, and how many of them are suppressed by now and get nothing. '
    'The guard checks the client first. An expired batch goes on for three days, or until expires_at';

GRANT EXECUTE ON FUNCTION enotify.requeue_batch TO enotify_admin;
