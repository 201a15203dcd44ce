CREATE OR REPLACE FUNCTION enotify.client_told() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE fields jsonb := to_jsonb(NEW) - 'id';
BEGIN
    IF TG_OP = 'UPDATE' THEN
        SELECT jsonb_object_agg(f.key, f.value) INTO fields FROM jsonb_each(fields) f
        WHERE f.value IS DISTINCT FROM to_jsonb(OLD) -> f.key;
    END IF;
    PERFORM enotify.tell_event(NEW.id, NULL, 'client', NULL,
        jsonb_build_object('change', CASE TG_OP WHEN 'INSERT' THEN 'added' ELSE 'changed' END, 'fields', fields));
    RETURN NULL;
END $$;

COMMENT ON FUNCTION enotify.client_told IS 'records an event when a client is added, or a field of its record changes';

CREATE OR REPLACE TRIGGER told_insert AFTER INSERT ON enotify.client
    FOR EACH ROW EXECUTE FUNCTION enotify.client_told();
CREATE OR REPLACE TRIGGER told_update AFTER UPDATE ON enotify.client
    FOR EACH ROW WHEN (NEW IS DISTINCT FROM OLD) EXECUTE FUNCTION enotify.client_told();
