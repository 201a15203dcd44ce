-- Retention: what finished batches take up is dropped in pieces, none of which holds a lock for long. The batch itself
-- stays, with its counts and its log: its key must not be taken for that of a new batch, however late an application
-- submits it once more.

ALTER TABLE enotify.batch
    ADD COLUMN pruned_at timestamptz,
    ADD CONSTRAINT batch_pruned_check CHECK (pruned_at IS NULL OR state IN ('done', 'cancelled'));
COMMENT ON COLUMN enotify.batch.pruned_at IS 'when its content, its recipients and what came of each were dropped; the counts stay. NULL: they are there';

-- The counts of a pruned batch outlive the outcomes.
CREATE OR REPLACE FUNCTION enotify.outcome_counted() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO enotify.batch_count AS c (batch_id, state, shard, n)
        SELECT batch_id, state, pg_backend_pid() % 32, count(*) FROM added GROUP BY 1, 2 ORDER BY 1, 2
        ON CONFLICT (batch_id, state, shard) DO UPDATE SET n = c.n + excluded.n;
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO enotify.batch_count AS c (batch_id, state, shard, n)
        SELECT g.batch_id, g.state, pg_backend_pid() % 32, -g.n
        FROM (SELECT batch_id, state, count(*) AS n FROM gone GROUP BY 1, 2) g JOIN enotify.batch b ON b.id = g.batch_id AND b.pruned_at IS NULL
        ORDER BY 1, 2
        ON CONFLICT (batch_id, state, shard) DO UPDATE SET n = c.n + excluded.n;
    ELSE
        INSERT INTO enotify.batch_count AS c (batch_id, state, shard, n)
        SELECT batch_id, state, pg_backend_pid() % 32, sum(n)
        FROM (SELECT batch_id, state, 1 AS n FROM added UNION ALL SELECT batch_id, state, -1 FROM gone) d
        GROUP BY 1, 2 HAVING sum(n) <> 0 ORDER BY 1, 2
        ON CONFLICT (batch_id, state, shard) DO UPDATE SET n = c.n + excluded.n;
    END IF;
    RETURN NULL;
END $$;

-- The body of a pruned batch is not there to be compared with.
CREATE OR REPLACE FUNCTION enotify.create_batch(
    idem_key text, from_address text, subject text,
    body_text text DEFAULT NULL, body_html text DEFAULT NULL, from_name text DEFAULT NULL, reply_to text DEFAULT NULL,
    priority int DEFAULT 0, not_before timestamptz DEFAULT NULL, expires_at timestamptz DEFAULT NULL,
    on_unknown text DEFAULT 'hold', list_unsubscribe text DEFAULT NULL
) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
    sender  text := enotify.mailbox(from_address);
    problem text := enotify.mailbox_problem(sender);
    client  int;
    ends    timestamptz := coalesce(expires_at, greatest(now(), not_before) + interval '3 days');
    made    enotify.batch;
BEGIN
    IF problem IS NOT NULL THEN
        RAISE EXCEPTION 'from_address % is no mailbox: %', quote_nullable(from_address), problem USING ERRCODE = 'invalid_parameter_value';
    END IF;
    SELECT c.id INTO client FROM enotify.client c
    WHERE c.domain = enotify.mailbox_domain(sender) AND c.id = ANY (enotify.my_clients());
    IF client IS NULL THEN
        RAISE EXCEPTION 'domain % is not a registered client of yours', enotify.mailbox_domain(sender)
            USING ERRCODE = 'insufficient_privilege', HINT = format('an operator registers it: enotify client add %s', enotify.mailbox_domain(sender));
    END IF;
    problem := enotify.mailbox_problem(enotify.mailbox(nullif(reply_to, '')));
    IF nullif(reply_to, '') IS NOT NULL AND problem IS NOT NULL THEN
        RAISE EXCEPTION 'reply_to % is no mailbox: %', quote_nullable(reply_to), problem USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF ends <= greatest(now(), not_before) THEN
        RAISE EXCEPTION 'expires_at % is not after the start of the batch', ends USING ERRCODE = 'invalid_parameter_value';
    END IF;
    INSERT INTO enotify.batch AS b (client_id, idem_key, from_address, subject, body_text, body_html, from_name, reply_to,
                                    priority, not_before, expires_at, on_unknown, list_unsubscribe)
    VALUES (client, idem_key, sender, subject, coalesce(body_text, ''), coalesce(body_html, ''), coalesce(from_name, ''), coalesce(enotify.mailbox(reply_to), ''),
            coalesce(priority, 0), not_before, ends, coalesce(on_unknown, 'hold'), coalesce(list_unsubscribe, ''))
    ON CONFLICT ON CONSTRAINT batch_client_id_idem_key_key DO NOTHING
    RETURNING b.* INTO made;
    IF made.id IS NULL THEN
        SELECT b.* INTO made FROM enotify.batch b WHERE b.client_id = client AND b.idem_key = idem_key;
        IF made.pruned_at IS NULL AND (made.subject, made.body_text, made.body_html) IS DISTINCT FROM (subject, coalesce(body_text, ''), coalesce(body_html, '')) THEN
            RAISE WARNING 'batch % already has the idem_key %; it keeps its own subject and body', made.id, quote_literal(idem_key)
                USING HINT = 'a new notification needs a new idem_key';
        END IF;
    END IF;
    RETURN made.id;
END $$;

CREATE OR REPLACE VIEW enotify.batch_status WITH (security_barrier) AS
SELECT b.id, b.idem_key, c.domain AS client, b.state::text AS state, b.reason, b.priority, b.total,
       CASE WHEN b.state NOT IN ('done', 'cancelled') THEN p.untried ELSE 0 END AS pending,
       p.intents - (n.outcomes - (b.total - b.sendable)) - r.waiting AS sending,
       r.waiting AS deferred,
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
CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE t.intent_at IS NULL)::int AS waiting FROM enotify.retry t WHERE t.batch_id = b.id
) r
WHERE b.client_id = ANY ((SELECT enotify.my_clients())::int[]);

CREATE FUNCTION enotify.prune_batch(batch bigint, after int DEFAULT 0, most int DEFAULT 20000) RETURNS int
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
        UPDATE enotify.batch x SET pruned_at = now(), sendable = 0, body_text = '', body_html = '' WHERE x.id = b.id;
    END IF;
    DELETE FROM enotify.recipient r WHERE r.batch_id = b.id AND r.seq > prune_batch.after AND r.seq <= upto;
    DELETE FROM enotify.outcome o WHERE o.batch_id = b.id AND o.seq > prune_batch.after AND o.seq <= upto;
    DELETE FROM enotify.attempt t WHERE t.batch_id = b.id AND t.seq > prune_batch.after AND t.seq <= upto;
    RETURN CASE WHEN upto < b.total THEN upto END;
END $$;
COMMENT ON FUNCTION enotify.prune_batch IS
    'drops content, recipients and outcomes of a finished batch, of at most so many recipients; says after which to go on in the next transaction, NULL at the end. Batch, counts, log, suppressions and verdicts stay';

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA enotify FROM PUBLIC;
GRANT EXECUTE ON FUNCTION enotify.prune_batch TO enotify_admin;
