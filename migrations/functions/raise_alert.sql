CREATE OR REPLACE FUNCTION enotify.raise_alert(
    kind text, client text, batch bigint, site text, words text, next text
) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE made bigint;
BEGIN
    INSERT INTO enotify.alert_log (kind, client_id, batch_id, site, text, next)
    VALUES (raise_alert.kind, (SELECT c.id FROM enotify.client c WHERE c.domain = raise_alert.client),
            nullif(raise_alert.batch, 0), raise_alert.site, words, raise_alert.next)
    RETURNING id INTO made;
    PERFORM pg_notify('enotify_alert', json_build_object('id', made, 'kind', raise_alert.kind)::text);
    RETURN made;
END $$;

COMMENT ON FUNCTION enotify.raise_alert IS
    'keeps a fact that somebody should act on, and tells its number to listeners: LISTEN enotify_alert. Returns '
    'the number';

GRANT EXECUTE ON FUNCTION enotify.raise_alert TO enotify_admin, enotify_sender;
