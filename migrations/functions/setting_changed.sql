CREATE OR REPLACE FUNCTION enotify.setting_changed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM pg_notify('enotify', TG_TABLE_NAME);
    RETURN NULL;
END $$;

COMMENT ON FUNCTION enotify.setting_changed IS 'wakes the nodes after a change of limits, keys, nodes or addresses';

CREATE OR REPLACE TRIGGER changed AFTER INSERT OR UPDATE OR DELETE ON enotify.destination
    FOR EACH STATEMENT EXECUTE FUNCTION enotify.setting_changed();
CREATE OR REPLACE TRIGGER changed AFTER INSERT OR UPDATE OR DELETE ON enotify.token_key
    FOR EACH STATEMENT EXECUTE FUNCTION enotify.setting_changed();
CREATE OR REPLACE TRIGGER limits AFTER UPDATE OF
    send_window, urgent, per_day, per_month, max_batches, max_batch_size, over_quota, zone ON enotify.client
    FOR EACH STATEMENT EXECUTE FUNCTION enotify.setting_changed();
-- By row: a heartbeat is an INSERT ... ON CONFLICT, and no news.
CREATE OR REPLACE TRIGGER changed AFTER INSERT OR UPDATE OF egress, helo, settings OR DELETE ON enotify.node
    FOR EACH ROW EXECUTE FUNCTION enotify.setting_changed();
CREATE OR REPLACE TRIGGER changed AFTER INSERT OR UPDATE OF pool, state, helo OR DELETE ON enotify.egress
    FOR EACH ROW EXECUTE FUNCTION enotify.setting_changed();
