-- Recipients deferred because the site blocks us are due at once: the operator says that the cause is gone. That is
-- done also when nothing else was learned of the site: nodes may defer more before they hear of it, and then it is
-- called again.
CREATE OR REPLACE FUNCTION enotify.forget_learned(site text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    known boolean;
BEGIN
    UPDATE enotify.pace p
    SET state = p.state - 'pace' - 'holds', version = p.version + 1, updated_at = clock_timestamp()
    WHERE p.kind = 'site' AND p.name = forget_learned.site AND p.state ?| ARRAY['pace', 'holds'];
    known := FOUND;
    UPDATE enotify.retry t SET due_at = now()
    FROM enotify.site s JOIN enotify.domain d ON d.site_id = s.id
    WHERE s.name = forget_learned.site AND t.domain_id = d.id AND t.class = 'spam_block' AND t.intent_at IS NULL
      AND t.due_at > now();
    IF NOT known AND NOT FOUND THEN
        RETURN false;
    END IF;
    PERFORM pg_notify('enotify', 'pace');
    RETURN true;
END $$;

COMMENT ON FUNCTION enotify.forget_learned IS
    'forgets what was learned of a site, ends its holds, makes the recipients due that it deferred by a block, and '
    'wakes the nodes. The fill of its rate''s bucket stays. false: there was nothing to forget';

GRANT EXECUTE ON FUNCTION enotify.forget_learned TO enotify_admin;
