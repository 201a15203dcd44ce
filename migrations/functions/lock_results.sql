CREATE OR REPLACE FUNCTION enotify.lock_results(batch bigint) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
    SELECT pg_advisory_xact_lock(1701736306, (batch % 2147483647)::int) -- "enor"
$$;

COMMENT ON FUNCTION enotify.lock_results IS
    'waits for transactions that write outcomes of the batch, and keeps others out until the end of this one';
