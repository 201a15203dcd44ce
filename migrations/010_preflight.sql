-- Preflight: what is found before a campaign, and kept with the batch.

CREATE TABLE enotify.preflight (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    batch_id bigint NOT NULL REFERENCES enotify.batch ON DELETE CASCADE,
    at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    by       name   NOT NULL DEFAULT session_user,
    verdict  text   NOT NULL CHECK (verdict IN ('ready', 'warnings', 'blocked')),
    line     text   NOT NULL,
    forced   text,
    report   jsonb  NOT NULL
);
CREATE INDEX preflight_batch ON enotify.preflight (batch_id, at);
COMMENT ON TABLE  enotify.preflight IS 'reports of enotify preflight, kept with the batch';
COMMENT ON COLUMN enotify.preflight.id IS 'number';
COMMENT ON COLUMN enotify.preflight.batch_id IS 'the batch';
COMMENT ON COLUMN enotify.preflight.at IS 'when it was made';
COMMENT ON COLUMN enotify.preflight.by IS 'login that made it';
COMMENT ON COLUMN enotify.preflight.verdict IS 'the report in a word';
COMMENT ON COLUMN enotify.preflight.line IS 'the report in a line';
COMMENT ON COLUMN enotify.preflight.forced IS 'why the batch was submitted although a row blocks; NULL: it was not';
COMMENT ON COLUMN enotify.preflight.report IS 'all of it, as -o json prints it';

-- Recipients with one shape are alike to a template: they have values for the same fields, and the same of them are
-- empty, which is what {{if}} asks for.
CREATE FUNCTION enotify.data_shape(data jsonb) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF jsonb_typeof(data) <> 'object' THEN
        RETURN NULL;
    END IF;
    RETURN (SELECT string_agg(key || CASE
                WHEN value IN ('""', 'false', '0', '[]', '{}') THEN '-'
                WHEN jsonb_typeof(value) = 'object' THEN '{' || coalesce(enotify.data_shape(value), '') || '}'
                WHEN jsonb_typeof(value) = 'array' THEN '['
                ELSE '+' END, E'\n')
            FROM jsonb_each(data) WHERE value <> 'null');
END $$;
COMMENT ON FUNCTION enotify.data_shape(jsonb) IS 'which fields of merge data have a value, and which of these are empty: equal shapes fill a template alike';

-- What preflight finds out about domains is there for the node that sends, and for the next preflight.
CREATE FUNCTION enotify.note_domains(names text[], sites text[], seconds float8[], classes text[], codes int[], enhanced text[], replies text[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO enotify.site (name, grp)
    SELECT s, (hashtextextended(s, 0) & 63)::smallint FROM (SELECT DISTINCT unnest(sites) AS s) n
    WHERE s <> '' AND NOT EXISTS (SELECT FROM enotify.site k WHERE k.name = s) ORDER BY s
    ON CONFLICT (name) DO NOTHING;
    INSERT INTO enotify.domain (name, grp)
    SELECT d, (hashtextextended(d, 0) & 63)::smallint FROM (SELECT DISTINCT unnest(names) AS d) n
    WHERE NOT EXISTS (SELECT FROM enotify.domain k WHERE k.name = d) AND enotify.mailbox_problem('postmaster@' || d) IS NULL ORDER BY d
    ON CONFLICT (name) DO NOTHING;
    WITH f AS (
        SELECT * FROM unnest(names, sites, seconds, classes, codes, enhanced, replies) f (name, site, seconds, class, code, enhanced, reply)
    ), k AS (
        SELECT d.id, s.id AS site_id, f.* FROM f JOIN enotify.domain d ON d.name = f.name LEFT JOIN enotify.site s ON s.name = f.site
        WHERE d.surveyed_until IS NULL OR d.surveyed_until <= now()
        ORDER BY d.id FOR UPDATE OF d
    )
    UPDATE enotify.domain d
    SET site_id = k.site_id, surveyed_at = clock_timestamp(), surveyed_until = clock_timestamp() + make_interval(secs => k.seconds),
        no_mail = nullif(k.class, '')::enotify.reply_class, no_mail_code = nullif(k.code, 0), no_mail_enhanced = nullif(k.enhanced, ''), no_mail_reply = nullif(k.reply, '')
    FROM k WHERE d.id = k.id;
END $$;
COMMENT ON FUNCTION enotify.note_domains IS
    'keeps what the DNS said of recipient domains: who takes their mail, or that nobody does. A domain whose answer still holds stays as it is; none changes its group';

REVOKE ALL ON ALL TABLES IN SCHEMA enotify FROM PUBLIC;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA enotify FROM PUBLIC;
GRANT EXECUTE ON FUNCTION enotify.data_shape, enotify.note_domains, enotify.mailbox_domain TO enotify_admin;
GRANT SELECT ON enotify.preflight TO enotify_admin, enotify_sender;
GRANT INSERT (batch_id, verdict, line, forced, report) ON enotify.preflight TO enotify_admin;
