CREATE OR REPLACE FUNCTION enotify.lock_tls_reports() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM FROM enotify.engine_lock l WHERE l.kind = 'tls_report' FOR UPDATE;
END $$;

COMMENT ON FUNCTION enotify.lock_tls_reports IS
    'has nodes claim reports on TLS one after the other: each report goes to one of them';

GRANT EXECUTE ON FUNCTION enotify.lock_tls_reports TO enotify_sender;
