-- In steps, so that no transaction takes long.
CREATE OR REPLACE FUNCTION enotify.drop_events(most int DEFAULT 1000) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE dropped int;
BEGIN
    WITH old AS (
        SELECT x.first FROM (
            SELECT e.first, e.at FROM enotify.event e WHERE e.first IS NOT NULL ORDER BY e.first LIMIT most) x
        WHERE x.at < now() - (SELECT s.keep FROM enotify.event_setting s)
    ), gone AS (
        DELETE FROM enotify.event e USING old o WHERE e.first = o.first
        RETURNING coalesce(e.client_id, 0) AS client_id, e.first + e.n - 1 AS last
    ), noted AS (
        INSERT INTO enotify.event_dropped AS d (client_id, upto)
        SELECT g.client_id, max(g.last) FROM gone g GROUP BY 1 ORDER BY 1
        ON CONFLICT (client_id) DO UPDATE SET upto = greatest(d.upto, excluded.upto)
    )
    SELECT count(*) INTO dropped FROM gone;
    RETURN dropped;
END $$;

COMMENT ON FUNCTION enotify.drop_events IS
    'drops events that are older than event_setting says, at most so many rows; returns how many. Nodes call it';

GRANT EXECUTE ON FUNCTION enotify.drop_events TO enotify_sender;
