CREATE OR REPLACE FUNCTION enotify.alert_told() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM enotify.tell_event(NEW.client_id, NEW.batch_id, 'alert', NULL,
        jsonb_build_object('alert', NEW.kind, 'site', NEW.site, 'text', NEW.text, 'next', NEW.next));
    RETURN NULL;
END $$;

COMMENT ON FUNCTION enotify.alert_told IS 'records an event when an alert about a client is raised';

CREATE OR REPLACE TRIGGER told AFTER INSERT ON enotify.alert_log
    FOR EACH ROW WHEN (NEW.client_id IS NOT NULL) EXECUTE FUNCTION enotify.alert_told();
