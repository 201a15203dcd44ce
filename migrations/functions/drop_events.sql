-- In steps, so that no transaction takes long. A webhook that has yet to get an event holds it, and what other webhooks
-- hold is passed over; the look ends at the first event that is not old.
CREATE OR REPLACE FUNCTION enotify.drop_events(most int DEFAULT 1000) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    old     timestamptz := now() - (SELECT s.keep FROM enotify.event_setting s);
    held    jsonb := (SELECT jsonb_object_agg(w.client, w.after) FROM (
        SELECT coalesce(w.client_id, 0) AS client, min(w.after) AS after FROM enotify.webhook w
        WHERE w.disabled_at IS NULL GROUP BY 1) w);
    going   bigint[] := '{}';
    r       record;
    dropped int;
BEGIN
    FOR r IN SELECT x.first, x.first + x.n - 1 AS last, x.at, x.client_id
        FROM enotify.event x WHERE x.first IS NOT NULL ORDER BY x.first
    LOOP
        EXIT WHEN r.at >= old OR cardinality(going) >= most;
        IF held IS NULL OR r.last <= coalesce((held ->> '0')::bigint, r.last)
           AND r.last <= coalesce((held ->> coalesce(r.client_id, 0)::text)::bigint, r.last)
        THEN
            going := going || r.first;
        END IF;
    END LOOP;
    WITH gone AS (
        DELETE FROM enotify.event e WHERE e.first = ANY (going)
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
    'drops events that are older than event_setting says and that no enabled webhook has yet to get, at most so many '
    'rows; returns how many. Nodes call it';

GRANT EXECUTE ON FUNCTION enotify.drop_events TO enotify_sender;
