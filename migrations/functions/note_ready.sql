CREATE OR REPLACE FUNCTION enotify.note_ready(
    batch bigint, mark text, verdict text, line text, report jsonb, report_line text
) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    was  enotify.ready_draft;
    bad  boolean := note_ready.verdict IN ('blocked', 'unknown');
BEGIN
    SELECT * INTO was FROM enotify.ready_draft r WHERE r.batch_id = note_ready.batch FOR UPDATE;
    IF NOT FOUND THEN
        RETURN false; -- it was submitted meanwhile
    END IF;
    UPDATE enotify.ready_draft r
    SET checked_at = clock_timestamp(), verdict = note_ready.verdict, line = note_ready.line, mark = note_ready.mark,
        held_until = '-infinity'
    WHERE r.batch_id = was.batch_id;
    IF report IS NOT NULL THEN
        INSERT INTO enotify.preflight (batch_id, verdict, line, report)
        VALUES (was.batch_id, note_ready.verdict, report_line, report);
        DELETE FROM enotify.preflight p WHERE p.batch_id = was.batch_id AND p.id IN (
            SELECT o.id FROM enotify.preflight o WHERE o.batch_id = was.batch_id ORDER BY o.id DESC OFFSET 10);
    END IF;
    RETURN bad AND (was.verdict <> note_ready.verdict OR was.line <> note_ready.line);
END $$;

COMMENT ON FUNCTION enotify.note_ready IS
    'records whether a draft that is kept ready would go; returns whether it would not, for a reason that is new. Of '
    'its reports the last ten are kept';

GRANT EXECUTE ON FUNCTION enotify.note_ready TO enotify_sender;
