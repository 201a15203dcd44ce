-- after: my_clients
CREATE OR REPLACE VIEW enotify.ready WITH (security_barrier) AS
SELECT r.batch_id, b.idem_key, c.domain AS client, b.subject, r.since, r.checked_at, r.verdict, r.line
FROM enotify.ready_draft r JOIN enotify.batch b ON b.id = r.batch_id JOIN enotify.client c ON c.id = b.client_id
WHERE b.client_id = ANY ((SELECT enotify.my_clients())::int[]);

COMMENT ON VIEW enotify.ready IS
    'drafts that are kept ready, of the clients that this login may see, and whether each would go now';

GRANT SELECT ON enotify.ready TO enotify_app, enotify_admin, enotify_sender;
