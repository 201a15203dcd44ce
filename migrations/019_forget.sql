-- Whoever waits since a site blocks us is tried at once when the operator says
-- that the cause is cured: also who was deferred while the nodes had not heard
-- of it, when it is said again.
CREATE OR REPLACE FUNCTION enotify.forget_learned(site text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    known boolean;
BEGIN
    UPDATE enotify.pace p SET state = p.state - 'pace' - 'holds', version = p.version + 1, updated_at = clock_timestamp()
    WHERE p.kind = 'site' AND p.name = forget_learned.site AND p.state ?| ARRAY['pace', 'holds'];
    known := FOUND;
    UPDATE enotify.retry t SET due_at = now()
    FROM enotify.site s JOIN enotify.domain d ON d.site_id = s.id
    WHERE s.name = forget_learned.site AND t.domain_id = d.id AND t.class = 'spam_block' AND t.intent_at IS NULL AND t.due_at > now();
    IF NOT known AND NOT FOUND THEN
        RETURN false;
    END IF;
    PERFORM pg_notify('enotify', 'pace');
    RETURN true;
END $$;
COMMENT ON FUNCTION enotify.forget_learned IS
    'forgets what was learned of a site, ends its holds, makes those due whom it deferred with a block, and wakes the nodes; how full the bucket of its rate is stays. False: there was nothing';

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA enotify FROM PUBLIC;
