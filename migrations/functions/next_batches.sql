-- after: batch_pool, may_take_turn, out_of_plan
--
-- Guard and plan are asked once for each client, not for each batch: one client may have very many that must
-- wait, and they come before all others.
CREATE OR REPLACE FUNCTION enotify.next_batches(most int, surveyed boolean) RETURNS SETOF bigint
LANGUAGE plpgsql STABLE AS $$
DECLARE
    it    record;
    whose text;
    known jsonb := '{}';
    found int := 0;
BEGIN
    FOR it IN
        SELECT b.id, b.client_id, b.pool, b.priority, b.send_window, b.started_at IS NOT NULL AS begun
        FROM enotify.batch b
        WHERE b.state = 'queued' AND (b.not_before IS NULL OR b.not_before <= now()) AND b.expires_at > now()
          AND (b.surveyed_at IS NOT NULL OR NOT surveyed)
        ORDER BY b.priority DESC, b.submitted_at, b.id
    LOOP
        whose := concat_ws(' ', it.client_id, it.priority, it.begun, it.pool, it.send_window);
        IF known -> whose IS NULL THEN
            known := known || jsonb_build_object(whose, enotify.may_take_turn(
                it.client_id, enotify.batch_pool(it.pool, it.priority, it.client_id), it.begun)
                AND NOT enotify.out_of_plan(it.client_id, it.priority, it.send_window, it.begun));
        END IF;
        CONTINUE WHEN known -> whose <> 'true';
        RETURN NEXT it.id;
        found := found + 1;
        EXIT WHEN found = most;
    END LOOP;
END $$;

COMMENT ON FUNCTION enotify.next_batches IS
    'the batches that are next, in the order of their turns: queued, due, in their plan, and let go by the guard. With '
    'surveyed only those whose sites are known';

GRANT EXECUTE ON FUNCTION enotify.next_batches TO enotify_sender;
