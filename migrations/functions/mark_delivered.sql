CREATE OR REPLACE FUNCTION enotify.mark_delivered(batch bigint) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    b      enotify.batch;
    marked int;
BEGIN
    PERFORM enotify.lock_results(mark_delivered.batch);
    b := enotify.my_batch(mark_delivered.batch);
    UPDATE enotify.outcome o
    SET state = 'delivered', class = NULL, at = now(),
        reply = concat_ws('; ', format('taken for delivered by %s', session_user), o.reply)
    WHERE o.batch_id = b.id AND o.state = 'unknown';
    GET DIAGNOSTICS marked = ROW_COUNT;
    RETURN marked;
END $$;

COMMENT ON FUNCTION enotify.mark_delivered IS
    'changes the unknown outcomes of a batch to delivered, and sends nothing; returns how many';

GRANT EXECUTE ON FUNCTION enotify.mark_delivered TO enotify_admin;
