-- Causes come before their effects. A transaction that acts on the commit of another writes its event afterwards, with
-- a higher id; a snapshot that has it has the other too; and one transaction at a time numbers what its snapshot has,
-- in the order of ids. A transaction that stays open holds up its own events and no others.
CREATE OR REPLACE FUNCTION enotify.number_events(most int DEFAULT 5000) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    head enotify.event_head;
    last bigint;
    here text;
BEGIN
    IF NOT EXISTS (SELECT FROM enotify.event e WHERE e.first IS NULL) THEN
        RETURN 0;
    END IF;
    SELECT * INTO head FROM enotify.event_head FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN 0; -- another node is at it
    END IF;
    PERFORM enotify.durable();
    -- Another run of the server, and a restored dump, may have forgotten numbers that were given: the clock is past
    -- all of them.
    SELECT concat_ws('/', d.oid, pg_relation_filenode('enotify.event_head')) INTO here
    FROM pg_database d WHERE d.datname = current_database();
    IF head.server <> pg_postmaster_start_time() OR head.timeline <> enotify.timeline() OR head.place <> here THEN
        head.next := greatest(head.next, floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint << 11);
    END IF;
    WITH fresh AS MATERIALIZED (
        SELECT e.id, e.n FROM enotify.event e WHERE e.first IS NULL ORDER BY e.id LIMIT most
    ), placed AS MATERIALIZED (
        SELECT f.id, head.next + sum(f.n) OVER (ORDER BY f.id) - f.n AS first FROM fresh f
    ), numbered AS (
        UPDATE enotify.event e SET first = p.first FROM placed p WHERE e.id = p.id AND e.first IS NULL
        RETURNING e.first + e.n - 1 AS last
    )
    SELECT max(n.last) INTO last FROM numbered n;
    IF last IS NULL THEN
        RETURN 0;
    END IF;
    UPDATE enotify.event_head h SET next = last + 1,
        server = pg_postmaster_start_time(), timeline = enotify.timeline(), place = here;
    PERFORM pg_notify('enotify_event', '');
    RETURN last;
END $$;

COMMENT ON FUNCTION enotify.number_events IS
    'gives numbers to events that are committed and have none, so that they can be read, and tells whoever listens: '
    'LISTEN enotify_event. Nodes call it. Returns the last number given; 0: there was none to give';

GRANT EXECUTE ON FUNCTION enotify.number_events TO enotify_sender;
