-- after: my_clients
--
-- Deferred recipients are counted once for all batches: a count per batch read all of them again for each.
CREATE OR REPLACE VIEW enotify.batch_status WITH (security_barrier) AS
SELECT b.id, b.idem_key, c.domain AS client, b.state::text AS state,
       coalesce(w.waits_for, b.reason) AS reason, b.priority, b.total,
       CASE WHEN b.state NOT IN ('done', 'cancelled') THEN p.untried ELSE 0 END AS pending,
       p.intents - (n.outcomes - (b.total - b.sendable)) - coalesce(r.waiting, 0) AS sending,
       coalesce(r.waiting, 0) AS deferred,
       n.delivered, n.bounced, n.suppressed, n.invalid,
       n.expired + CASE WHEN b.state = 'done' THEN p.untried ELSE 0 END AS expired,
       n.unknown,
       n.cancelled + CASE WHEN b.state = 'cancelled' THEN p.untried ELSE 0 END AS cancelled,
       CASE WHEN b.state = 'draft' THEN s.n ELSE b.staged END AS staged,
       CASE WHEN b.state IN ('sending', 'draining') AND now() > b.turn_at + interval '1 s'
            THEN greatest(0, p.intents - b.turn_intents) / extract(epoch FROM now() - b.turn_at)
       END::float8 AS per_second,
       b.duplicates, b.from_address, b.subject, b.on_unknown, b.created_by, b.created_at, b.submitted_at,
       b.not_before, b.send_window, b.expires_at, b.started_at, b.finished_at, b.pruned_at
FROM enotify.batch b
JOIN enotify.client c ON c.id = b.client_id
CROSS JOIN LATERAL (
    SELECT coalesce(sum(k.n), 0)::int AS outcomes,
           coalesce(sum(k.n) FILTER (WHERE k.state = 'delivered'), 0)::int AS delivered,
           coalesce(sum(k.n) FILTER (WHERE k.state = 'bounced'), 0)::int AS bounced,
           coalesce(sum(k.n) FILTER (WHERE k.state = 'suppressed'), 0)::int AS suppressed,
           coalesce(sum(k.n) FILTER (WHERE k.state = 'invalid'), 0)::int AS invalid,
           coalesce(sum(k.n) FILTER (WHERE k.state = 'expired'), 0)::int AS expired,
           coalesce(sum(k.n) FILTER (WHERE k.state = 'unknown'), 0)::int AS unknown,
           coalesce(sum(k.n) FILTER (WHERE k.state = 'cancelled'), 0)::int AS cancelled
    FROM enotify.batch_count k WHERE k.batch_id = b.id
) n
CROSS JOIN LATERAL (
    SELECT coalesce(sum(d.intent_seq - d.first_seq + 1), 0)::int AS intents,
           coalesce(sum(d.last_seq - d.intent_seq), 0)::int AS untried
    FROM enotify.batch_domain d WHERE d.batch_id = b.id
) p
CROSS JOIN LATERAL (
    SELECT count(*)::int AS n FROM enotify.recipient_in i WHERE i.batch_id = b.id AND b.state = 'draft'
) s
LEFT JOIN LATERAL (
    SELECT CASE
        WHEN b.priority < c.urgent AND closed.spec IS NOT NULL
        THEN 'waits for its window ' || closed.spec
          || coalesce(', which opens at ' || to_char(closed.opens_at AT TIME ZONE substring(closed.spec FROM E'\\S+$'),
                                                     'YYYY-MM-DD HH24:MI'), '')
        WHEN b.state = 'queued' AND c.spent_until > now() -- retries cost nothing
        THEN format('client %s has sent all that it may for now; it goes on at %s %s', c.domain,
                    to_char(c.spent_until AT TIME ZONE c.zone, 'YYYY-MM-DD HH24:MI'), c.zone)
        WHEN b.started_at IS NULL AND b.priority < c.urgent AND c.max_batches <= (
            SELECT count(*) FROM enotify.batch o
            WHERE o.client_id = c.id AND o.finished_at IS NULL AND o.started_at IS NOT NULL
              AND o.state IN ('queued', 'sending', 'draining', 'retrying'))
        THEN format('client %s has %s batches under way, as many as it may have at once', c.domain, c.max_batches)
        END AS waits_for
    FROM (SELECT) always LEFT JOIN LATERAL (
        SELECT x.spec, s.opens_at FROM unnest(ARRAY[b.send_window, c.send_window]) x (spec)
        LEFT JOIN enotify.send_window s ON s.spec = x.spec
        WHERE x.spec IS NOT NULL AND NOT coalesce(s.opens_at <= now() AND s.closes_at > now(), false)
        ORDER BY s.opens_at DESC LIMIT 1) closed ON true
) w ON b.state = 'queued' OR b.state = 'retrying' AND b.finished_at IS NULL
LEFT JOIN (
    SELECT t.batch_id, count(*)::int AS waiting FROM enotify.retry t WHERE t.intent_at IS NULL GROUP BY t.batch_id
) r ON r.batch_id = b.id
WHERE b.client_id = ANY ((SELECT enotify.my_clients())::int[]);

COMMENT ON VIEW enotify.batch_status IS
    'one row per batch that this login may see, with its recipients counted by state: the counts from pending to '
    'cancelled add up to total. sending: under way, or in doubt until the lease of a dead node ends';

GRANT SELECT ON enotify.batch_status TO enotify_app, enotify_admin, enotify_sender;
