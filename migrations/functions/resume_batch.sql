CREATE OR REPLACE FUNCTION enotify.resume_batch(batch bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE b enotify.batch;
BEGIN
    -- The client first, in the order of the guard.
    PERFORM FROM enotify.client c
    WHERE c.id = (SELECT x.client_id FROM enotify.batch x WHERE x.id = resume_batch.batch) FOR NO KEY UPDATE;
    b := enotify.my_batch(batch);
    IF b.state IN ('queued', 'sending', 'draining', 'retrying') THEN
        RETURN;
    ELSIF b.state NOT IN ('paused', 'blocked') THEN
        RAISE EXCEPTION 'batch % is %; only a paused or blocked batch can be resumed', b.id, b.state
            USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    IF b.state = 'blocked' THEN
        UPDATE enotify.verdict v SET valid_until = now() WHERE v.client_id = b.client_id AND v.superseded_at IS NULL;
        UPDATE enotify.client c SET refused_at = NULL, refused_why = ''
        WHERE c.id = b.client_id AND c.refused_at IS NOT NULL;
        DELETE FROM enotify.auth_refusal a WHERE a.client_id = b.client_id;
    END IF;
    UPDATE enotify.batch x
    SET state = 'queued', reason = '', fault = '', paused_with_all = false,
        surveyed_at = CASE WHEN b.fault = '' THEN x.surveyed_at END -- a node checks the content again
    WHERE x.id = b.id;
END $$;

COMMENT ON FUNCTION enotify.resume_batch IS
    'puts a paused or blocked batch back into the queue. For a blocked one the guard checks its client again at once, '
    'and the refusals of receivers counted so far are forgotten';

GRANT EXECUTE ON FUNCTION enotify.resume_batch TO enotify_admin;
