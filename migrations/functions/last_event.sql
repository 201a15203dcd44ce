CREATE OR REPLACE FUNCTION enotify.last_event() RETURNS bigint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT h.next - 1 FROM enotify.event_head h
$$;

COMMENT ON FUNCTION enotify.last_event IS
    'the last number that an event has, of whichever client: where a reader begins that wants only what comes';

GRANT EXECUTE ON FUNCTION enotify.last_event TO enotify_app, enotify_admin, enotify_sender;
