CREATE OR REPLACE FUNCTION enotify.events(after bigint DEFAULT 0, most int DEFAULT 1000)
RETURNS TABLE (id bigint, at timestamptz, kind text, client text, batch_id bigint, idem_key text, seq int,
               address text, data jsonb)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp ROWS 1000 AS $$
#variable_conflict use_column
DECLARE
    me   name  := enotify.my_login();
    mine int[] := enotify.my_clients();
    lost record;
BEGIN
    IF pg_has_role(me, 'enotify_admin', 'MEMBER') OR pg_has_role(me, 'enotify_sender', 'MEMBER')
       OR pg_has_role(me, current_user, 'MEMBER') THEN -- the owner of the schema
        mine := NULL;
    END IF;
    SELECT d.upto, coalesce(c.domain, 'no client') AS domain INTO lost
    FROM enotify.event_dropped d LEFT JOIN enotify.client c ON c.id = d.client_id
    WHERE events.after > 0 AND d.upto > events.after AND (mine IS NULL OR d.client_id = ANY (mine))
    ORDER BY d.upto DESC LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'events after % are gone: those of % up to % were older than events are kept',
            events.after, lost.domain, lost.upto
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = format('read on with events(after => %s)', lost.upto);
    END IF;
    RETURN QUERY SELECT * FROM enotify.read_events(
        mine, '{}', coalesce(events.after, 0), 9223372036854775807, least(greatest(events.most, 1), 10000));
END $$;

COMMENT ON FUNCTION enotify.events IS
    'what happened to batches and recipients of this login''s clients after an event, in order, at most so many '
    '(up to 10,000). Call it with the last id that you have acted on; 0 begins with the oldest that is kept. LISTEN '
    'enotify_event says when there may be more. Recorded once an operator has switched it on: enotify event on';

GRANT EXECUTE ON FUNCTION enotify.events TO enotify_app, enotify_admin, enotify_sender;
