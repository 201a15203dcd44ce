-- Whole batches are counted, by when they began: a complaint comes days after its message, and counts against the mail
-- that it came for. Counts outlive the outcomes of a pruned batch; its reports stay for 30 days.
CREATE OR REPLACE FUNCTION enotify.complaint_rate(client int)
RETURNS TABLE (days int, accepted bigint, complaints bigint)
LANGUAGE sql STABLE AS $$
    WITH sent AS (
        SELECT b.started_at,
               (SELECT coalesce(sum(c.n), 0) FROM enotify.batch_count c
                WHERE c.batch_id = b.id AND c.state = 'delivered') AS accepted,
               (SELECT count(DISTINCT r.seq) FROM enotify.report r
                WHERE r.batch_id = b.id AND r.kind = 'complaint') AS complaints
        FROM enotify.batch b WHERE b.client_id = $1 AND b.started_at > now() - interval '30 days'
    )
    SELECT d.days, coalesce(sum(s.accepted), 0)::bigint, coalesce(sum(s.complaints), 0)::bigint
    FROM unnest('{1,7,30}'::int[]) d (days)
    LEFT JOIN sent s ON s.started_at > now() - make_interval(days => d.days)
    GROUP BY d.days ORDER BY d.days
$$;

COMMENT ON FUNCTION enotify.complaint_rate IS
    'messages accepted and recipients who complained, of the client''s batches that began in the last 1, 7 and 30 days';

GRANT EXECUTE ON FUNCTION enotify.complaint_rate TO enotify_admin, enotify_sender;
