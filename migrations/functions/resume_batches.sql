CREATE OR REPLACE FUNCTION enotify.resume_batches(client text DEFAULT NULL) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE n int;
BEGIN
    WITH held AS (
        SELECT b.id FROM enotify.batch b JOIN enotify.client c ON c.id = b.client_id
        WHERE b.finished_at IS NULL AND b.state = 'paused' AND b.paused_with_all
          AND (resume_batches.client IS NULL OR c.domain = enotify.a_labels(resume_batches.client))
          AND c.id = ANY (enotify.my_clients())
        ORDER BY b.id FOR UPDATE OF b SKIP LOCKED)
    UPDATE enotify.batch x
    SET state = 'queued', reason = '', fault = '', paused_with_all = false,
        surveyed_at = CASE WHEN x.fault = '' THEN x.surveyed_at END -- a node checks the content again
    FROM held WHERE x.id = held.id;
    GET DIAGNOSTICS n = ROW_COUNT;
    RETURN n;
END $$;

COMMENT ON FUNCTION enotify.resume_batches IS
    'puts the batches of a client, or with NULL of all clients, that pause_batches() paused back into the queue, and '
    'returns how many. A batch that was paused by its number stays paused';

GRANT EXECUTE ON FUNCTION enotify.resume_batches TO enotify_admin;
