-- One small step, so that no transaction holds its locks for long. The nodes take turns: the row of the kind is locked.
CREATE OR REPLACE FUNCTION enotify.retain(kind text, most int DEFAULT 1000) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    past   timestamptz;
    mailed timestamptz;
    one    bigint;
    n      int := 0;
BEGIN
    SELECT now() - k.keep INTO past FROM enotify.retention k WHERE k.kind = retain.kind FOR UPDATE SKIP LOCKED;
    IF past IS NULL THEN
        RETURN 0;
    END IF;
    CASE retain.kind
    WHEN 'recipients' THEN
        SELECT b.id INTO one FROM enotify.batch b
        WHERE b.finished_at < past
          AND (b.pruned_at IS NULL OR EXISTS (SELECT FROM enotify.recipient r WHERE r.batch_id = b.id)) -- interrupted
        ORDER BY b.id LIMIT 1;
        IF one IS NOT NULL THEN
            PERFORM enotify.prune_batch(one, coalesce((
                SELECT min(r.seq) - 1 FROM enotify.recipient r WHERE r.batch_id = one), 0), most);
            n := most;
        END IF;
    WHEN 'tries' THEN
        SELECT b.id INTO one FROM enotify.batch b
        WHERE b.finished_at < past AND EXISTS (SELECT FROM enotify.attempt t WHERE t.batch_id = b.id)
        ORDER BY b.id LIMIT 1;
        DELETE FROM enotify.attempt a WHERE a.ctid = ANY (ARRAY(
            SELECT t.ctid FROM enotify.attempt t WHERE t.batch_id = one LIMIT most));
        GET DIAGNOSTICS n = ROW_COUNT;
    WHEN 'mails' THEN
        UPDATE enotify.report p SET raw = NULL WHERE p.id = ANY (ARRAY(
            SELECT r.id FROM enotify.report r WHERE r.raw IS NOT NULL AND r.received_at < past LIMIT most));
        GET DIAGNOSTICS n = ROW_COUNT;
    WHEN 'reports' THEN
        -- Those of a pruned batch are about nobody any more: they go with their mail.
        SELECT now() - k.keep INTO mailed FROM enotify.retention k WHERE k.kind = 'mails';
        DELETE FROM enotify.report p WHERE p.id = ANY (ARRAY(
            SELECT r.id FROM enotify.report r
            WHERE r.received_at < past OR r.received_at < mailed AND EXISTS (
                SELECT FROM enotify.batch b WHERE b.id = r.batch_id AND b.pruned_at IS NOT NULL) LIMIT most));
        GET DIAGNOSTICS n = ROW_COUNT;
    WHEN 'replies' THEN
        DELETE FROM enotify.counted_reply c WHERE c.ctid = ANY (ARRAY(
            SELECT r.ctid FROM enotify.counted_reply r WHERE r.last_at < past LIMIT most FOR UPDATE SKIP LOCKED));
        GET DIAGNOSTICS n = ROW_COUNT;
    WHEN 'suppressions' THEN
        DELETE FROM enotify.suppression s WHERE s.ctid = ANY (ARRAY(
            SELECT x.ctid FROM enotify.suppression x WHERE coalesce(x.until, x.added_at) < past LIMIT most
            FOR UPDATE SKIP LOCKED));
        GET DIAGNOSTICS n = ROW_COUNT;
    WHEN 'preflights' THEN
        DELETE FROM enotify.preflight p WHERE p.id = ANY (ARRAY(
            SELECT f.id FROM enotify.preflight f WHERE f.at < past LIMIT most));
        GET DIAGNOSTICS n = ROW_COUNT;
    WHEN 'verdicts' THEN
        DELETE FROM enotify.verdict v WHERE v.id = ANY (ARRAY(
            SELECT w.id FROM enotify.verdict w WHERE w.superseded_at < past LIMIT most));
        GET DIAGNOSTICS n = ROW_COUNT;
    WHEN 'alerts' THEN
        DELETE FROM enotify.alert_log a WHERE a.id = ANY (ARRAY(
            SELECT o.id FROM enotify.alert_log o WHERE o.at < past LIMIT most));
        GET DIAGNOSTICS n = ROW_COUNT;
    END CASE;
    RETURN n;
END $$;

COMMENT ON FUNCTION enotify.retain IS
    'drops at most so many rows of a kind of data that are older than enotify.retention says, and returns about how '
    'many; 0: there are no more, or another node is at it';

GRANT EXECUTE ON FUNCTION enotify.retain TO enotify_sender;
