-- after: my_clients
CREATE OR REPLACE VIEW enotify.alert WITH (security_barrier) AS
SELECT a.id, a.at, a.kind, c.domain AS client, a.batch_id, a.site, a.text, a.next
FROM enotify.alert_log a LEFT JOIN enotify.client c ON c.id = a.client_id
WHERE a.client_id = ANY ((SELECT enotify.my_clients())::int[])
   OR a.client_id IS NULL
      AND (pg_has_role(session_user, 'enotify_admin', 'MEMBER')
        OR pg_has_role(session_user, 'enotify_sender', 'MEMBER'));

COMMENT ON VIEW enotify.alert IS
    'facts that somebody should act on, of the clients that this login may see; operators see all. LISTEN '
    'enotify_alert tells the id of a new one. Any login can send such a notification: what is not here was not raised '
    'by enotify';

GRANT SELECT ON enotify.alert TO enotify_app, enotify_admin, enotify_sender;
