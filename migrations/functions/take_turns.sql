-- after: batch_pool, lock_turn, lock_nodes, may_begin, may_send, may_take_turn, out_of_plan, suppressed
--
-- One transaction for many small batches: with a transaction for each turn, an outcome and the next intent, a node sent
-- 25 of them a second.
CREATE OR REPLACE FUNCTION enotify.take_turns(
    node int, batches bigint[], edits int[], grps smallint[], epochs bigint[], strange bigint[]
) RETURNS TABLE (
    batch_id bigint, started_at timestamptz, seq int, domain_id int, address text, data jsonb, class text, reply text,
    counted boolean
)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    it      record;
    highest int; -- priority of those that have the turn
    lent    bigint;
    turn    enotify.batch_state; -- of a batch that has its turn; NULL: none has had it yet
    whose   text := '';
    may     boolean;
    taken   bigint[] := '{}';
BEGIN
    PERFORM enotify.lock_turn();
    PERFORM enotify.lock_nodes(node);
    PERFORM set_config('lock_timeout', '200ms', true); -- an operator's transaction may have locked a batch
    IF NOT enotify.may_begin(node) THEN
        RETURN;
    END IF;
    SELECT max(b.priority) INTO highest FROM enotify.batch b WHERE b.state IN ('sending', 'draining')
      AND b.id <> ALL (strange);
    FOR it IN
        SELECT b.id, b.client_id, b.priority, b.send_window,
               enotify.batch_pool(b.pool, b.priority, b.client_id) AS pool
        FROM unnest(batches, edits) WITH ORDINALITY u (id, edits, place) JOIN enotify.batch b ON b.id = u.id
        WHERE b.state = 'queued' AND b.started_at IS NULL AND b.edits = u.edits AND b.expires_at > now()
          AND (b.not_before IS NULL OR b.not_before <= now())
        ORDER BY u.place FOR NO KEY UPDATE OF b SKIP LOCKED
    LOOP
        IF whose <> it.client_id || ' ' || it.pool THEN
            whose := it.client_id || ' ' || it.pool;
            may := enotify.may_take_turn(it.client_id, it.pool, false)
                AND enotify.may_send(node, it.client_id, it.pool);
        END IF;
        CONTINUE WHEN NOT may OR enotify.out_of_plan(it.client_id, it.priority, it.send_window, false) OR EXISTS (
            SELECT FROM enotify.batch_domain d
            WHERE d.batch_id = it.id AND d.intent_seq < d.last_seq AND (NOT EXISTS (
                    SELECT FROM unnest(grps, epochs) g (grp, epoch) JOIN enotify.lease l USING (grp, epoch)
                    WHERE grp = d.grp AND l.node_id = node AND l.until > clock_timestamp())
                OR EXISTS (
                    SELECT FROM enotify.batch e JOIN enotify.batch_domain o ON o.batch_id = e.id
                    WHERE e.finished_at IS NULL AND e.state = 'retrying' AND e.passed_at IS NOT NULL
                      AND o.domain_id = d.domain_id AND o.intent_seq < o.last_seq)));
        EXIT WHEN highest >= it.priority;
        IF turn IS NULL THEN
            SELECT b.id INTO lent FROM enotify.batch b WHERE b.state = 'sending' FOR NO KEY UPDATE SKIP LOCKED;
            UPDATE enotify.batch b SET state = 'queued', reason = 'waits for a batch of higher priority'
            WHERE b.id = lent;
            turn := CASE WHEN EXISTS (SELECT FROM enotify.batch b WHERE b.state = 'sending')
                THEN 'draining' ELSE 'sending' END; -- one that is locked keeps that state
        END IF;
        UPDATE enotify.batch b
        SET state = turn, started_at = now(), turn_at = clock_timestamp(), reason = '',
            surveyed_at = coalesce(b.surveyed_at, now())
        WHERE b.id = it.id;
        UPDATE enotify.batch_domain d SET intent_seq = d.last_seq
        WHERE d.batch_id = it.id AND d.intent_seq < d.last_seq;
        UPDATE enotify.batch b SET state = 'retrying' WHERE b.id = it.id;
        taken := taken || it.id;
    END LOOP;
    UPDATE enotify.batch b SET state = 'sending', reason = '' WHERE b.id = lent;
    RETURN QUERY
        SELECT r.batch_id, now(), r.seq, r.domain_id, r.address, r.data, s.why[1], s.why[2],
               EXISTS (SELECT FROM enotify.counted_reply f WHERE f.address = lower(r.address))
        FROM unnest(taken) WITH ORDINALITY t (id, place) JOIN enotify.batch b ON b.id = t.id
        CROSS JOIN LATERAL (
            SELECT r.* FROM enotify.batch_domain d JOIN enotify.recipient r
                ON r.batch_id = d.batch_id AND r.seq BETWEEN d.first_seq AND d.last_seq
            WHERE d.batch_id = t.id AND NOT EXISTS (
                SELECT FROM enotify.outcome o WHERE o.batch_id = r.batch_id AND o.seq = r.seq) OFFSET 0) r
        CROSS JOIN LATERAL ( -- asked only where it may find something, as intents do
            SELECT CASE WHEN r.address = '' OR (SELECT EXISTS (SELECT FROM enotify.hash_key))
                          OR (SELECT true FROM enotify.suppression p WHERE p.address = lower(r.address) LIMIT 1)
                   THEN (SELECT ARRAY[x.class::text, x.reply] FROM enotify.suppressed(r.address, b.client_id) x) END
                   AS why
            OFFSET 0) s
        ORDER BY t.place, r.seq;
END $$;

COMMENT ON FUNCTION enotify.take_turns IS
    'gives the turn to these small batches, one after the other: each takes it, begins all of its recipients and gives '
    'it on. A batch of lower priority that has the turn keeps it afterwards. Returns the recipients to send to. Left '
    'out are batches that were changed since the node read them, or have a domain that the node may not send to just '
    'now; the first one that has to wait for the turn ends it. Nobody waits for the strange ones: they are over, and '
    'somebody has locked them';

GRANT EXECUTE ON FUNCTION enotify.take_turns TO enotify_sender;
