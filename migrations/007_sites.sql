-- Sites: who takes the mail of each recipient domain, known before a batch takes its turn.

CREATE TABLE enotify.site (
    id   int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE,
    grp  smallint NOT NULL CHECK (grp BETWEEN 0 AND 63)
);
COMMENT ON TABLE  enotify.site IS 'all recipient domains that are served by the same mail hosts; what receivers limit';
COMMENT ON COLUMN enotify.site.id IS 'number';
COMMENT ON COLUMN enotify.site.name IS 'a provider''s short name, else the registered domain of the mail hosts';
COMMENT ON COLUMN enotify.site.grp IS 'lease group in which its domains belong, so that one node at a time sends to the site';

ALTER TABLE enotify.domain
    ADD site_id          int REFERENCES enotify.site,
    ADD surveyed_at      timestamptz,
    ADD surveyed_until   timestamptz,
    ADD no_mail          enotify.reply_class,
    ADD no_mail_code     smallint,
    ADD no_mail_enhanced text,
    ADD no_mail_reply    text;
COMMENT ON COLUMN enotify.domain.grp IS
    'lease group: one node at a time sends to the domains of a group. Its site''s, once that is known and nothing of the domain is under way; till then by a hash of its name';
COMMENT ON COLUMN enotify.domain.site_id IS 'who takes its mail; NULL: not known yet';
COMMENT ON COLUMN enotify.domain.surveyed_at IS 'when the DNS was last asked, answer or not; NULL: never';
COMMENT ON COLUMN enotify.domain.surveyed_until IS 'the answer holds until then, by TTL';
COMMENT ON COLUMN enotify.domain.no_mail IS 'class of the outcome of all its recipients when it takes no mail (RFC 7505, or it does not exist); NULL: it does, as far as is known';
COMMENT ON COLUMN enotify.domain.no_mail_code IS 'reply code that says so (RFC 5321 §4.2)';
COMMENT ON COLUMN enotify.domain.no_mail_enhanced IS 'enhanced status code that says so (RFC 3463)';
COMMENT ON COLUMN enotify.domain.no_mail_reply IS 'the same in words';

ALTER TABLE enotify.batch ADD surveyed_at timestamptz;
COMMENT ON COLUMN enotify.batch.surveyed_at IS 'when the sites of all its domains had been asked for; it takes no turn before';

-- A domain takes what is open of it along when it changes its group. A batch that was finished then, or requeued at
-- that moment, is surveyed anew, which sets the groups of its parts right.
CREATE FUNCTION enotify.batch_requeued() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    NEW.surveyed_at := NULL;
    RETURN NEW;
END $$;
COMMENT ON FUNCTION enotify.batch_requeued() IS 'has the domains of a requeued batch surveyed anew before it takes the turn';
CREATE TRIGGER requeued BEFORE UPDATE OF requeues ON enotify.batch
    FOR EACH ROW WHEN (OLD.requeues <> NEW.requeues) EXECUTE FUNCTION enotify.batch_requeued();

REVOKE ALL ON ALL TABLES IN SCHEMA enotify FROM PUBLIC;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA enotify FROM PUBLIC;
GRANT SELECT ON enotify.site TO enotify_admin, enotify_sender;
GRANT INSERT ON enotify.site TO enotify_sender;
GRANT UPDATE ON enotify.domain TO enotify_sender;
