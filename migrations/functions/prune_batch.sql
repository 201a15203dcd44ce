-- In pieces, so that no transaction holds its locks for long. The batch itself stays: its idem_key must not become free
-- for a new batch when an application submits the old one again, however late. Only the first call waits for results
-- that are being written, and keeps others out: of a batch that is pruned nothing is counted or brought back any more,
-- and several connections may drop its recipients.
CREATE OR REPLACE FUNCTION enotify.prune_batch(batch bigint, after int DEFAULT 0, most int DEFAULT 20000) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    b    enotify.batch;
    upto int := prune_batch.after + greatest(prune_batch.most, 1);
BEGIN
    SELECT * INTO b FROM enotify.batch x
    WHERE x.id = prune_batch.batch AND x.client_id = ANY (enotify.my_clients()) AND x.pruned_at IS NOT NULL;
    IF b.id IS NULL THEN
        PERFORM enotify.lock_results(prune_batch.batch);
        b := enotify.my_batch(prune_batch.batch);
    END IF;
    IF b.finished_at IS NULL THEN
        RAISE EXCEPTION 'batch % is %, and has not finished', b.id, b.state
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = format('enotify batch show %s says what it waits for', b.id);
    END IF;
    IF b.pruned_at IS NULL THEN
        -- Recipients that were never tried have no outcome: batch_status counts them by the rows deleted here.
        INSERT INTO enotify.batch_count AS c (batch_id, state, shard, n)
        SELECT b.id, CASE WHEN b.state = 'done' THEN 'expired' ELSE 'cancelled' END::enotify.recipient_state, 0,
               sum(d.last_seq - d.intent_seq)
        FROM enotify.batch_domain d WHERE d.batch_id = b.id HAVING sum(d.last_seq - d.intent_seq) > 0
        ON CONFLICT (batch_id, state, shard) DO UPDATE SET n = c.n + excluded.n;
        DELETE FROM enotify.batch_domain d WHERE d.batch_id = b.id;
        DELETE FROM enotify.attachment a WHERE a.batch_id = b.id;
        DELETE FROM enotify.doubt d WHERE d.batch_id = b.id;
        DELETE FROM enotify.warmup_mail m WHERE m.batch_id = b.id;
        UPDATE enotify.batch x SET pruned_at = now(), sendable = 0, body_text = '', body_html = '',
                                   headers = '{}'
        WHERE x.id = b.id;
    END IF;
    DELETE FROM enotify.recipient r WHERE r.batch_id = b.id AND r.seq > prune_batch.after AND r.seq <= upto;
    DELETE FROM enotify.outcome o WHERE o.batch_id = b.id AND o.seq > prune_batch.after AND o.seq <= upto;
    DELETE FROM enotify.forgotten f WHERE f.batch_id = b.id AND f.seq > prune_batch.after AND f.seq <= upto;
    DELETE FROM enotify.attempt t WHERE t.batch_id = b.id AND t.seq > prune_batch.after AND t.seq <= upto;
    RETURN CASE WHEN upto < b.total THEN upto END;
END $$;

COMMENT ON FUNCTION enotify.prune_batch IS
    'drops content, recipients and outcomes of a finished batch, at most so many recipients per call. Returns the '
    'argument "after" of the next call, NULL at the end. The batch, its counts and log, suppressions and verdicts '
    'stay';

GRANT EXECUTE ON FUNCTION enotify.prune_batch TO enotify_admin;
