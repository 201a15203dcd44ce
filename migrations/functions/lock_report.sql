CREATE OR REPLACE FUNCTION enotify.lock_report(batch bigint, seq int) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM FROM enotify.engine_lock l
    WHERE l.kind = 'report' AND l.slot = (hashint8(batch) # seq) & 63 FOR UPDATE;
END $$;

COMMENT ON FUNCTION enotify.lock_report IS
    'has reports about one recipient recorded one after the other: the second of two copies finds the first';

GRANT EXECUTE ON FUNCTION enotify.lock_report TO enotify_sender;
