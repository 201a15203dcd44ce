CREATE OR REPLACE FUNCTION enotify.pause_batches(client text DEFAULT NULL, reason text DEFAULT '') RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE n int;
BEGIN
    -- A batch that another session holds is passed over: an open transaction keeps no other batch going.
    WITH held AS (
        SELECT b.id FROM enotify.batch b JOIN enotify.client c ON c.id = b.client_id
        WHERE b.finished_at IS NULL AND b.state IN ('queued', 'sending', 'draining', 'retrying', 'blocked')
          AND (pause_batches.client IS NULL OR c.domain = enotify.a_labels(pause_batches.client))
          AND c.id = ANY (enotify.my_clients())
        ORDER BY b.id FOR UPDATE OF b SKIP LOCKED)
    UPDATE enotify.batch x SET state = 'paused', reason = coalesce(pause_batches.reason, ''), paused_with_all = true
    FROM held WHERE x.id = held.id;
    GET DIAGNOSTICS n = ROW_COUNT;
    RETURN n;
END $$;

COMMENT ON FUNCTION enotify.pause_batches IS
    'pauses all batches of a client, or with NULL of all, that are submitted and not finished, as pause_batch() '
    'does, and returns how many. Batches that are submitted later are not paused. resume_batches() puts them back';

GRANT EXECUTE ON FUNCTION enotify.pause_batches TO enotify_admin;
