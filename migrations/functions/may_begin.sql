-- In PL/pgSQL, whose plan the session keeps: it is asked in every tick.
CREATE OR REPLACE FUNCTION enotify.may_begin(node int) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN EXISTS (
        SELECT FROM enotify.era e JOIN enotify.node n ON n.id = $1 AND n.era = e.number
        WHERE e.settled_at IS NOT NULL AND e.server = pg_postmaster_start_time() AND e.timeline = enotify.timeline());
END $$;

COMMENT ON FUNCTION enotify.may_begin IS
    'whether messages of the node may begin: this is the server of the current era, and it is settled what was sent '
    'before it';

GRANT EXECUTE ON FUNCTION enotify.may_begin TO enotify_sender;
