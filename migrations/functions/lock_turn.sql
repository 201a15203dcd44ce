CREATE OR REPLACE FUNCTION enotify.lock_turn() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM FROM enotify.engine_lock l WHERE l.kind = 'turn' FOR UPDATE;
END $$;

COMMENT ON FUNCTION enotify.lock_turn IS
    'keeps the turn with the batches that have it, until the end of the transaction';

GRANT EXECUTE ON FUNCTION enotify.lock_turn TO enotify_sender;
