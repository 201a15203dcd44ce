CREATE OR REPLACE FUNCTION enotify.report_told() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM enotify.tell_event(b.client_id, b.id, 'complained', NEW.seq, '{}') FROM enotify.batch b
    WHERE b.id = NEW.batch_id;
    RETURN NULL;
END $$;

COMMENT ON FUNCTION enotify.report_told IS 'records an event when a reader called a message spam';

CREATE OR REPLACE TRIGGER told AFTER INSERT ON enotify.report
    FOR EACH ROW WHEN (NEW.kind = 'complaint') EXECUTE FUNCTION enotify.report_told();
