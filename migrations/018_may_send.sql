-- Which node may send for which client.

CREATE FUNCTION enotify.may_send(node int, client int) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT NOT EXISTS (
        SELECT FROM enotify.node n CROSS JOIN unnest(n.egress) e (ip)
        LEFT JOIN enotify.verdict v ON v.client_id = $2 AND v.identity = 'mailfrom' AND v.egress = e.ip AND v.superseded_at IS NULL
        WHERE n.id = $1 AND (
            v.id IS NULL
            OR v.result = 'temperror' AND NOT EXISTS (SELECT FROM enotify.verdict o WHERE o.client_id = $2 AND o.egress = e.ip AND o.result <> 'temperror')
            OR EXISTS (SELECT FROM enotify.verdict b WHERE b.client_id = $2 AND b.egress = e.ip AND b.superseded_at IS NULL AND b.blocks)))
$$;
COMMENT ON FUNCTION enotify.may_send(int, int) IS
    'whether the guard has looked at every address of the node for the client, and found none that blocks; a DNS that does not answer stops no address that had a verdict before';

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA enotify FROM PUBLIC;
GRANT EXECUTE ON FUNCTION enotify.may_send TO enotify_admin, enotify_sender;
