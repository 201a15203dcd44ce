CREATE OR REPLACE FUNCTION enotify.pause_batch(batch bigint, reason text DEFAULT '') RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE b enotify.batch := enotify.my_batch(batch);
BEGIN
    IF b.state = 'paused' THEN
        RETURN;
    ELSIF b.state NOT IN ('queued', 'sending', 'draining', 'retrying', 'blocked') THEN
        RAISE EXCEPTION 'batch % is %; there is nothing to pause', b.id, b.state
            USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    UPDATE enotify.batch x SET state = 'paused', reason = coalesce(pause_batch.reason, '') WHERE x.id = b.id;
END $$;

COMMENT ON FUNCTION enotify.pause_batch IS
    'pauses a batch: within 1 s no new SMTP transaction begins; the ones under way finish and are recorded';

GRANT EXECUTE ON FUNCTION enotify.pause_batch TO enotify_admin;
