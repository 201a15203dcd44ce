CREATE OR REPLACE FUNCTION enotify.note_domains(
    names text[], sites text[], seconds float8[], classes text[], codes int[], enhanced text[], replies text[]
) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- An application that is inserting the same domains is not waited for: it is only a note.
    PERFORM set_config('lock_timeout', '20ms', true);
    INSERT INTO enotify.site (name, grp)
    SELECT s, (hashtextextended(s, 0) & 63)::smallint FROM (SELECT DISTINCT unnest(sites) AS s) n
    WHERE s <> '' AND NOT EXISTS (SELECT FROM enotify.site k WHERE k.name = s) ORDER BY s
    ON CONFLICT (name) DO NOTHING;
    INSERT INTO enotify.domain (name, grp)
    SELECT d, (hashtextextended(d, 0) & 63)::smallint FROM (SELECT DISTINCT unnest(names) AS d) n
    WHERE NOT EXISTS (SELECT FROM enotify.domain k WHERE k.name = d AND k.twin = 0)
      AND enotify.mailbox_problem('postmaster@' || d) IS NULL ORDER BY d
    ON CONFLICT (name, twin) DO NOTHING;
    WITH f AS (
        SELECT * FROM unnest(names, sites, seconds, classes, codes, enhanced, replies)
            f (name, site, seconds, class, code, enhanced, reply)
    ), k AS (
        SELECT d.id, s.id AS site_id, f.*
        FROM f JOIN enotify.domain d ON d.name = f.name LEFT JOIN enotify.site s ON s.name = f.site
        WHERE d.surveyed_until IS NULL OR d.surveyed_until <= now()
        ORDER BY d.id FOR UPDATE OF d
    )
    UPDATE enotify.domain d
    SET site_id = k.site_id, surveyed_at = clock_timestamp(),
        surveyed_until = clock_timestamp() + make_interval(secs => k.seconds),
        no_mail = nullif(k.class, '')::enotify.reply_class, no_mail_code = nullif(k.code, 0),
        no_mail_enhanced = nullif(k.enhanced, ''), no_mail_reply = nullif(k.reply, '')
    FROM k WHERE d.id = k.id;
EXCEPTION WHEN lock_not_available THEN
    NULL;
END $$;

COMMENT ON FUNCTION enotify.note_domains IS
    'keeps what preflight learned from the DNS about recipient domains: the site that takes their mail, or that none '
    'does; a node and the next preflight use it. A domain whose last answer still holds stays as it is; none changes '
    'its lease group';

GRANT EXECUTE ON FUNCTION enotify.note_domains TO enotify_admin, enotify_sender;
