CREATE OR REPLACE FUNCTION enotify.last_event() RETURNS bigint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT h.next - 1 FROM enotify.event_head h
$$;

COMMENT ON FUNCTION enotify.last_event IS
    'the highest number of an event, over all clients: a reader that wants only later events begins there';

GRANT EXECUTE ON FUNCTION enotify.last_event TO enotify_app, enotify_admin, enotify_sender;
