-- It asks for each pool whether a batch leaves from it: the client may have very many batches, and there are few pools.
CREATE OR REPLACE FUNCTION enotify.client_pools(client int) RETURNS text[]
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN ARRAY(
        SELECT c.pool FROM enotify.client c WHERE c.id = $1
        UNION SELECT p.name FROM enotify.pool p WHERE p.kind = 'urgent'
              AND (EXISTS (SELECT FROM enotify.client c WHERE c.id = $1 AND c.max_priority > 0)
                OR EXISTS (SELECT FROM enotify.batch b WHERE b.client_id = $1 AND b.finished_at IS NULL
                           AND b.state <> 'draft' AND b.pool IS NULL AND b.priority > 0))
        UNION SELECT p.name FROM enotify.pool p
              WHERE EXISTS (SELECT FROM enotify.batch b WHERE b.client_id = $1 AND b.pool = p.name
                            AND b.finished_at IS NULL AND b.state <> 'draft'));
END $$;

COMMENT ON FUNCTION enotify.client_pools IS
    'the pools that mail of a client leaves from: its own, the urgent one where its batches may be urgent, and those '
    'of its batches under way. The guard checks the client for the addresses of these';

GRANT EXECUTE ON FUNCTION enotify.client_pools TO enotify_admin, enotify_sender;
