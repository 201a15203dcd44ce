CREATE OR REPLACE FUNCTION enotify.durable() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF current_setting('synchronous_commit') IN ('off', 'local', 'remote_write') THEN
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;
END $$;

COMMENT ON FUNCTION enotify.durable IS
    'has this transaction committed with synchronous_commit at least on, whatever the server, database or role says';

GRANT EXECUTE ON FUNCTION enotify.durable TO enotify_sender;
