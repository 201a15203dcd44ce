-- Another envelope sender is another SPF record, another selector another key, and from_spf changes what the same
-- records mean: nothing is sent before the guard has checked.
CREATE OR REPLACE FUNCTION enotify.client_moved() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE enotify.verdict v SET valid_until = now()
    WHERE v.client_id = NEW.id AND v.superseded_at IS NULL AND v.valid_until > now();
    PERFORM pg_notify('enotify', TG_TABLE_NAME);
    RETURN NULL;
END $$;

COMMENT ON FUNCTION enotify.client_moved IS
    'has the guard check a client again after its envelope sender, DKIM selectors or from_spf changed';

CREATE OR REPLACE TRIGGER moved AFTER UPDATE OF bounce, bounce_domain ON enotify.client
    FOR EACH ROW WHEN (NEW IS DISTINCT FROM OLD) EXECUTE FUNCTION enotify.client_moved();
CREATE OR REPLACE TRIGGER signs AFTER UPDATE OF return_path, dkim_selectors, from_spf ON enotify.client
    FOR EACH ROW WHEN (NEW IS DISTINCT FROM OLD) EXECUTE FUNCTION enotify.client_moved();
