CREATE OR REPLACE FUNCTION enotify.lock_nodes(VARIADIC nodes int[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE it smallint;
BEGIN
    PERFORM enotify.durable();
    FOR it IN SELECT DISTINCT n % 64 FROM unnest(nodes) n ORDER BY 1 LOOP
        PERFORM FROM enotify.engine_lock l WHERE l.kind = 'node' AND l.slot = it FOR UPDATE;
    END LOOP;
END $$;

COMMENT ON FUNCTION enotify.lock_nodes IS
    'waits for intents of these nodes under way, and keeps new ones out until the end of the transaction. An intent '
    'takes the lock of its own node. The transaction is committed durably: see durable()';

GRANT EXECUTE ON FUNCTION enotify.lock_nodes TO enotify_sender;
