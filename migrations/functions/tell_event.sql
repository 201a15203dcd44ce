CREATE OR REPLACE FUNCTION enotify.tell_event(client int, batch bigint, kind text, seq int, data jsonb) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO enotify.event (client_id, batch_id, kind, seqs, data)
    SELECT tell_event.client, tell_event.batch, tell_event.kind, CASE WHEN seq IS NOT NULL THEN ARRAY[seq] END,
           CASE WHEN seq IS NULL THEN tell_event.data ELSE jsonb_build_array(tell_event.data) END
    FROM enotify.event_setting s
    WHERE s.every OR EXISTS (SELECT FROM enotify.event_client c WHERE c.client_id = tell_event.client);
END $$;

COMMENT ON FUNCTION enotify.tell_event IS
    'records an event of a client in this transaction, if its events are recorded';
