-- In PL/pgSQL, whose plan the session keeps: it is asked in every tick.
CREATE OR REPLACE FUNCTION enotify.window_allows(client int, priority int, send_window text) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN NOT EXISTS (
        SELECT FROM enotify.client c CROSS JOIN LATERAL (VALUES (c.send_window), ($3)) w (spec)
        WHERE c.id = $1 AND c.urgent > $2 AND w.spec IS NOT NULL AND NOT EXISTS (
            SELECT FROM enotify.send_window s WHERE s.spec = w.spec AND s.opens_at <= now() AND s.closes_at > now()));
END $$;

COMMENT ON FUNCTION enotify.window_allows IS
    'whether the windows of a batch and its client are open now, or its priority makes it urgent';

GRANT EXECUTE ON FUNCTION enotify.window_allows TO enotify_sender, enotify_admin;
