CREATE OR REPLACE FUNCTION enotify.count_sent(client int) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    c     enotify.client;
    month timestamptz;
BEGIN
    SELECT * INTO c FROM enotify.client x WHERE x.id = count_sent.client;
    month := date_trunc('month', now() AT TIME ZONE c.zone) AT TIME ZONE c.zone;
    DELETE FROM enotify.client_sent s WHERE s.client_id = c.id;
    INSERT INTO enotify.client_sent (client_id, day, n)
    SELECT c.id, (m.at AT TIME ZONE c.zone)::date, count(*)
    FROM enotify.batch b CROSS JOIN LATERAL (
        SELECT o.at FROM enotify.outcome o
        WHERE o.batch_id = b.id AND o.at >= month AND o.state IN ('delivered', 'bounced', 'unknown')
        UNION ALL
        SELECT t.first_at FROM enotify.retry t WHERE t.batch_id = b.id AND t.first_at >= month AND t.tries > 0
    ) m
    WHERE b.client_id = c.id AND b.started_at IS NOT NULL AND (b.finished_at IS NULL OR b.finished_at >= month)
    GROUP BY 2;
END $$;

COMMENT ON FUNCTION enotify.count_sent IS
    'counts what a client has sent this month, for a limit that is new: nothing was counted before';

GRANT EXECUTE ON FUNCTION enotify.count_sent TO enotify_admin;
