CREATE OR REPLACE FUNCTION enotify.lock_survey() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM FROM enotify.engine_lock l WHERE l.kind = 'survey' FOR UPDATE;
END $$;

COMMENT ON FUNCTION enotify.lock_survey IS
    'keeps other transactions from moving domains to other lease groups, until the end of this one';

GRANT EXECUTE ON FUNCTION enotify.lock_survey TO enotify_sender;
