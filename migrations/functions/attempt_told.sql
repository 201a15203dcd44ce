-- The attempt and the wait for the next one are written in one transaction: an attempt that waits in retry was
-- deferred.
CREATE OR REPLACE FUNCTION enotify.attempt_told() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NOT enotify.events_on() THEN
        RETURN NULL;
    END IF;
    INSERT INTO enotify.event (client_id, batch_id, kind, n, seqs, data)
    SELECT b.client_id, b.id, 'deferred', count(*), array_agg(a.seq),
           jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
               'try', a.n, 'due_at', a.due_at, 'class', a.class, 'code', a.code, 'enhanced', a.enhanced,
               'reply', a.reply, 'host', a.host)))
    FROM (SELECT x.*, t.due_at, (row_number() OVER () - 1) / 1000 AS part
          FROM added x JOIN enotify.retry t ON t.batch_id = x.batch_id AND t.seq = x.seq AND t.tries = x.n
          WHERE t.intent_at IS NULL) a
    JOIN enotify.batch b ON b.id = a.batch_id
    WHERE (SELECT s.every FROM enotify.event_setting s)
       OR EXISTS (SELECT FROM enotify.event_client c WHERE c.client_id = b.client_id)
    GROUP BY b.client_id, b.id, a.part ORDER BY b.id, a.part;
    RETURN NULL;
END $$;

COMMENT ON FUNCTION enotify.attempt_told IS 'records an event for each attempt that is to be repeated';

CREATE OR REPLACE TRIGGER told AFTER INSERT ON enotify.attempt REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION enotify.attempt_told();
