CREATE OR REPLACE FUNCTION enotify.batch_told() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM enotify.tell_event(NEW.client_id, NEW.id, 'batch', NULL, jsonb_build_object(
        'from', CASE TG_OP WHEN 'UPDATE' THEN OLD.state END, 'to', NEW.state, 'reason', NEW.reason));
    RETURN NULL;
END $$;

COMMENT ON FUNCTION enotify.batch_told IS 'records an event when a batch is created, or its state changes';

-- By name it comes after "moved", which refuses changes that are not allowed.
CREATE OR REPLACE TRIGGER told_insert AFTER INSERT ON enotify.batch
    FOR EACH ROW EXECUTE FUNCTION enotify.batch_told();
CREATE OR REPLACE TRIGGER told_update AFTER UPDATE OF state ON enotify.batch
    FOR EACH ROW WHEN (NEW.state <> OLD.state) EXECUTE FUNCTION enotify.batch_told();
