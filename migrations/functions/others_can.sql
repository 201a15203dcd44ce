-- after: live_egress, client_pools
CREATE OR REPLACE FUNCTION enotify.others_can(node int, client int) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN EXISTS (
        SELECT FROM enotify.live_egress e
        WHERE e.node_id <> $1 AND e.state = 'active' AND e.pool = ANY (enotify.client_pools($2))
          AND NOT EXISTS (SELECT FROM enotify.node_bar r WHERE r.node_id = e.node_id AND r.client_id = $2));
END $$;

COMMENT ON FUNCTION enotify.others_can IS
    'whether a live node other than this one has an address in a pool of the client, and nothing bars it from sending '
    'for the client (table node_bar)';

GRANT EXECUTE ON FUNCTION enotify.others_can TO enotify_sender;
