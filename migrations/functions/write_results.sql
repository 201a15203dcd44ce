CREATE OR REPLACE FUNCTION enotify.write_results(VARIADIC batches bigint[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    it smallint;
    -- Drawn each time: two sessions with one shard for good would always wait for each other.
    mine smallint := floor(random() * 16);
BEGIN
    PERFORM enotify.durable();
    FOR it IN SELECT DISTINCT n % 64 FROM unnest(batches) n ORDER BY 1 LOOP
        PERFORM FROM enotify.engine_lock l WHERE l.kind = 'results' AND l.slot = it AND l.shard = mine FOR UPDATE;
    END LOOP;
END $$;

COMMENT ON FUNCTION enotify.write_results IS
    'to be called before outcomes of these batches are written: waits for transactions that hold lock_results(), and '
    'makes later ones wait for this transaction. Writers hardly ever wait for each other. The '
    'transaction is committed durably: see durable()';

GRANT EXECUTE ON FUNCTION enotify.write_results TO enotify_sender;
