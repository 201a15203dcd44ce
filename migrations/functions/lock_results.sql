CREATE OR REPLACE FUNCTION enotify.lock_results(VARIADIC batches bigint[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE it smallint;
BEGIN
    FOR it IN SELECT DISTINCT n % 64 FROM unnest(batches) n ORDER BY 1 LOOP
        PERFORM FROM enotify.engine_lock l WHERE l.kind = 'results' AND l.slot = it ORDER BY l.shard FOR UPDATE;
    END LOOP;
END $$;

COMMENT ON FUNCTION enotify.lock_results IS
    'waits for transactions that write outcomes of these batches, and keeps others out until the end of this one: to '
    'count outcomes or to take them back';

GRANT EXECUTE ON FUNCTION enotify.lock_results TO enotify_sender;
