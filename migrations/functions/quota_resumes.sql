CREATE OR REPLACE FUNCTION enotify.quota_resumes(client int) RETURNS timestamptz
LANGUAGE sql STABLE AS $$
    SELECT CASE
        WHEN c.per_month <= coalesce(sum(s.n), 0)
        THEN (date_trunc('month', t.today) + interval '1 month')::timestamp AT TIME ZONE c.zone
        ELSE (t.today + 1)::timestamp AT TIME ZONE c.zone END
    FROM enotify.client c
    CROSS JOIN LATERAL (SELECT (now() AT TIME ZONE c.zone)::date AS today) t
    LEFT JOIN enotify.client_sent s
           ON s.client_id = c.id AND s.day BETWEEN date_trunc('month', t.today)::date AND t.today
    WHERE c.id = $1
    GROUP BY c.id, t.today
$$;

COMMENT ON FUNCTION enotify.quota_resumes IS
    'when a client has messages to send again: the start of the next month where those of this one are used up, else '
    'of the next day';

GRANT EXECUTE ON FUNCTION enotify.quota_resumes TO enotify_admin, enotify_sender;
