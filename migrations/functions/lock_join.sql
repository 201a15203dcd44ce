CREATE OR REPLACE FUNCTION enotify.lock_join() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM FROM enotify.engine_lock l WHERE l.kind = 'join' FOR UPDATE;
END $$;

COMMENT ON FUNCTION enotify.lock_join IS
    'lets one node at a time join, until the end of the transaction, so that two of one name cannot both find nobody';

GRANT EXECUTE ON FUNCTION enotify.lock_join TO enotify_sender;
