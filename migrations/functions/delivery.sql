-- after: my_clients
CREATE OR REPLACE VIEW enotify.delivery WITH (security_barrier) AS
SELECT r.batch_id, r.seq, r.address, d.name AS domain,
       CASE WHEN o.seq IS NOT NULL THEN o.state::text
            WHEN t.seq IS NOT NULL AND t.intent_at IS NULL THEN 'deferred'
            WHEN t.seq IS NOT NULL OR r.seq <= p.intent_seq THEN 'sending'
            WHEN b.state = 'cancelled' THEN 'cancelled'
            WHEN b.state = 'done' THEN 'expired'
            ELSE 'pending' END AS state,
       coalesce(o.class, t.class)::text AS class, coalesce(o.code, t.code)::int AS code,
       coalesce(CASE WHEN r.address = '' AND r.domain_id IS NOT NULL THEN 'the address was forgotten' END,
                nullif(concat_ws(' ', o.enhanced, o.reply), ''),
                nullif(concat_ws(' ', t.enhanced, t.reply), '')) AS reply,
       o.at, t.due_at AS next_try_at, t.attempts
FROM enotify.recipient r
JOIN enotify.batch b ON b.id = r.batch_id
LEFT JOIN enotify.domain d ON d.id = r.domain_id
LEFT JOIN enotify.batch_domain p ON p.batch_id = r.batch_id AND p.domain_id = r.domain_id
LEFT JOIN enotify.outcome o ON o.batch_id = r.batch_id AND o.seq = r.seq
LEFT JOIN enotify.retry t ON t.batch_id = r.batch_id AND t.seq = r.seq
WHERE b.client_id = ANY ((SELECT enotify.my_clients())::int[]);

COMMENT ON VIEW enotify.delivery IS
    'one row per recipient of the batches that this login may see, with its state and the receiver''s reply; always '
    'ask with a condition on batch_id';

GRANT SELECT ON enotify.delivery TO enotify_app, enotify_admin, enotify_sender;
