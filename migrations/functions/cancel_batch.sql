CREATE OR REPLACE FUNCTION enotify.cancel_batch(batch bigint, reason text DEFAULT '') RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE b enotify.batch := enotify.my_batch(batch);
BEGIN
    IF b.state = 'cancelled' THEN
        RETURN;
    ELSIF b.state = 'done' THEN
        RAISE EXCEPTION 'batch % is done; there is nothing to cancel', b.id
            USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    DELETE FROM enotify.recipient_in r WHERE r.batch_id = b.id;
    DELETE FROM enotify.staged_size s WHERE s.batch_id = b.id;
    DELETE FROM enotify.ready_draft r WHERE r.batch_id = b.id;
    -- One that never began has nothing under way that a node would have to record first. Nodes would end 3,000 of them
    -- one by one.
    UPDATE enotify.batch x SET state = 'cancelled', reason = coalesce(cancel_batch.reason, ''),
        finished_at = CASE WHEN b.started_at IS NULL THEN now() END
    WHERE x.id = b.id;
END $$;

COMMENT ON FUNCTION enotify.cancel_batch IS
    'cancels a batch for good: recipients not yet tried get nothing; SMTP transactions under way finish and are '
    'recorded';

GRANT EXECUTE ON FUNCTION enotify.cancel_batch TO enotify_admin;
