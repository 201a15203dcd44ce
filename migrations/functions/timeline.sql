CREATE OR REPLACE FUNCTION enotify.timeline() RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF pg_is_in_recovery() THEN
        RETURN ''; -- of no era: the write that follows fails, and says that this is a standby
    END IF;
    RETURN left(pg_walfile_name(pg_current_wal_lsn()), 8);
END $$;

COMMENT ON FUNCTION enotify.timeline IS
    'timeline of the write-ahead log: another one after a standby was promoted or a backup was recovered';

GRANT EXECUTE ON FUNCTION enotify.timeline TO enotify_sender;
