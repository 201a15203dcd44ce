CREATE OR REPLACE FUNCTION enotify.quota_left(client int) RETURNS bigint
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (
        SELECT greatest(0, least(c.per_day - coalesce(sum(s.n) FILTER (WHERE s.day = t.today), 0),
                                 c.per_month - coalesce(sum(s.n), 0)))
        FROM enotify.client c
        CROSS JOIN LATERAL (SELECT (now() AT TIME ZONE c.zone)::date AS today) t
        LEFT JOIN enotify.client_sent s
               ON s.client_id = c.id AND s.day BETWEEN date_trunc('month', t.today)::date AND t.today
        WHERE c.id = $1 AND (c.per_day IS NOT NULL OR c.per_month IS NOT NULL)
        GROUP BY c.id);
END $$;

COMMENT ON FUNCTION enotify.quota_left IS
    'how many messages a client may still send in this day and month; NULL: it has no such limit';

GRANT EXECUTE ON FUNCTION enotify.quota_left TO enotify_admin, enotify_sender;
