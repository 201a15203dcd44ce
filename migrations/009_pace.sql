-- What the sender learned of receivers, so that a restart or another node goes on with it.

CREATE TABLE enotify.pace (
    kind       text NOT NULL CHECK (kind IN ('site', 'domain')),
    name       text NOT NULL,
    domain     text NOT NULL,
    state      jsonb NOT NULL DEFAULT '{}',
    version    bigint NOT NULL,
    learned_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (kind, name)
) WITH (fillfactor = 50);
CREATE INDEX pace_updated ON enotify.pace (updated_at);
COMMENT ON TABLE  enotify.pace IS 'what was learned of sites, and how full the buckets of slow rates are; a row only where there is something. enotify destination show tells it in words';
COMMENT ON COLUMN enotify.pace.kind IS 'site, or recipient domain: one name may be both';
COMMENT ON COLUMN enotify.pace.name IS 'the site or domain';
COMMENT ON COLUMN enotify.pace.domain IS 'a recipient domain of it: who holds the lease of its group may write the row';
COMMENT ON COLUMN enotify.pace.state IS 'for the sender alone; times are by the clock of the node that wrote it, see learned_at';
COMMENT ON COLUMN enotify.pace.version IS 'fence: grows with each write, and a write must name the one that it replaces';
COMMENT ON COLUMN enotify.pace.learned_at IS 'when it was so, by the database''s clock';
COMMENT ON COLUMN enotify.pace.updated_at IS 'when the row changed, also by an operator; nodes look for what changed lately';

CREATE FUNCTION enotify.forget_learned(site text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE enotify.pace p SET state = p.state - 'pace' - 'holds', version = p.version + 1, updated_at = clock_timestamp()
    WHERE p.kind = 'site' AND p.name = forget_learned.site AND p.state ?| ARRAY['pace', 'holds'];
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    PERFORM pg_notify('enotify', 'pace');
    RETURN true;
END $$;
COMMENT ON FUNCTION enotify.forget_learned IS
    'forgets what was learned of a site, ends its holds, and wakes the nodes; how full the bucket of its rate is stays. False: there was nothing';

REVOKE ALL ON ALL TABLES IN SCHEMA enotify FROM PUBLIC;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA enotify FROM PUBLIC;
GRANT EXECUTE ON FUNCTION enotify.forget_learned TO enotify_admin;
GRANT SELECT ON enotify.pace TO enotify_admin, enotify_sender;
GRANT INSERT, UPDATE, DELETE ON enotify.pace TO enotify_sender;
