CREATE OR REPLACE FUNCTION enotify.doubt_batch(batch bigint) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    b       enotify.batch;
    doubted int;
    text_   CONSTANT text := 'the database was restored from a backup; it may have been sent since';
BEGIN
    PERFORM enotify.durable();
    PERFORM enotify.lock_results(doubt_batch.batch);
    b := enotify.my_batch(doubt_batch.batch);
    IF b.state = 'draft' OR b.finished_at IS NOT NULL THEN
        RETURN 0;
    END IF;
    IF EXISTS (SELECT FROM enotify.node n WHERE n.live_until > clock_timestamp()) THEN
        RAISE EXCEPTION 'batch %: a node is running', b.id USING
            ERRCODE = 'object_not_in_prerequisite_state',
            HINT = 'stop all nodes before you put recipients in doubt';
    END IF;
    DELETE FROM enotify.retry t WHERE t.batch_id = b.id;
    UPDATE enotify.batch_domain d SET intent_seq = d.last_seq
    WHERE d.batch_id = b.id AND d.intent_seq < d.last_seq;
    INSERT INTO enotify.outcome (batch_id, seq, state, reply)
    SELECT r.batch_id, r.seq, 'unknown', text_ FROM enotify.recipient r
    WHERE r.batch_id = b.id
      AND NOT EXISTS (SELECT FROM enotify.outcome o WHERE o.batch_id = r.batch_id AND o.seq = r.seq);
    GET DIAGNOSTICS doubted = ROW_COUNT;
    RETURN doubted;
END $$;

COMMENT ON FUNCTION enotify.doubt_batch IS
    'after a backup was restored: records every recipient of the batch who has no outcome as unknown, since the '
    'message may have been sent after the backup; returns how many. No node may run';

GRANT EXECUTE ON FUNCTION enotify.doubt_batch TO enotify_admin;
