-- Waiting a moment, not giving up at once: between two writers of a busy batch there is hardly a moment without one.
CREATE OR REPLACE FUNCTION enotify.try_lock_results(batch bigint) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '100ms' AS $$
BEGIN
    PERFORM enotify.lock_results(batch);
    RETURN true;
EXCEPTION WHEN lock_not_available THEN
    RETURN false;
END $$;

COMMENT ON FUNCTION enotify.try_lock_results IS
    'lock_results() that waits for 100 ms at most; false: the batch is locked by somebody who takes longer';

GRANT EXECUTE ON FUNCTION enotify.try_lock_results TO enotify_sender;
