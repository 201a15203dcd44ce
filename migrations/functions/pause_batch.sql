CREATE OR REPLACE FUNCTION enotify.pause_batch(batch bigint, reason text DEFAULT '') RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE b enotify.batch := enotify.my_batch(batch);
BEGIN
    IF b.state = 'paused' THEN
        UPDATE enotify.batch x SET paused_with_all = false WHERE x.id = b.id AND x.paused_with_all;
        IF coalesce(pause_batch.reason, '') NOT IN ('', b.reason) THEN
            UPDATE enotify.batch x SET reason = pause_batch.reason WHERE x.id = b.id;
            PERFORM enotify.note_batch(b.id, 'paused', 'paused', pause_batch.reason);
        END IF;
        RETURN;
    ELSIF b.state NOT IN ('queued', 'sending', 'draining', 'retrying', 'blocked') THEN
        RAISE EXCEPTION 'batch % is %; there is nothing to pause', b.id, b.state
            USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    UPDATE enotify.batch x SET state = 'paused', reason = coalesce(pause_batch.reason, '') WHERE x.id = b.id;
END $$;

COMMENT ON FUNCTION enotify.pause_batch IS
    'pauses a batch: within 1 s no new SMTP transaction begins; the ones under way finish and are recorded. A batch '
    'that is paused already takes the new reason, if one is given';

GRANT EXECUTE ON FUNCTION enotify.pause_batch TO enotify_admin;
