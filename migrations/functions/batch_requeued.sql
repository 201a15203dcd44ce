-- When a domain changes its lease group, what is open of it moves along. A batch that had finished by then, or is being
-- requeued at that moment, is not open: the survey puts its parts into the right groups.
CREATE OR REPLACE FUNCTION enotify.batch_requeued() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    NEW.surveyed_at := NULL;
    RETURN NEW;
END $$;

COMMENT ON FUNCTION enotify.batch_requeued IS
    'has the domains of a requeued batch surveyed again before it takes the turn';

CREATE OR REPLACE TRIGGER requeued BEFORE UPDATE OF requeues ON enotify.batch
    FOR EACH ROW WHEN (OLD.requeues <> NEW.requeues) EXECUTE FUNCTION enotify.batch_requeued();
