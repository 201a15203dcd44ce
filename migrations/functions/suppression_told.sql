CREATE OR REPLACE FUNCTION enotify.suppression_told() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM enotify.tell_event(NEW.client_id, NEW.batch_id, 'unsubscribed', NEW.seq,
                               jsonb_build_object('how', NEW.note));
    RETURN NULL;
END $$;

COMMENT ON FUNCTION enotify.suppression_told IS 'records an event when a reader of a message unsubscribed';

CREATE OR REPLACE TRIGGER told AFTER INSERT OR UPDATE ON enotify.suppression
    FOR EACH ROW WHEN (NEW.cause = 'unsubscribe' AND NEW.seq IS NOT NULL)
    EXECUTE FUNCTION enotify.suppression_told();
