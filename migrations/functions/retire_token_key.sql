CREATE OR REPLACE FUNCTION enotify.retire_token_key(key text) RETURNS timestamptz
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE k enotify.token_key; at timestamptz;
BEGIN
    LOCK TABLE enotify.token_key IN SHARE ROW EXCLUSIVE MODE;
    SELECT * INTO k FROM enotify.token_key WHERE id = key;
    IF NOT FOUND THEN
        RAISE no_data_found
            USING MESSAGE = format('there is no key %s', key), HINT = 'enotify bounce key list shows all keys';
    ELSIF k.retired_at IS NOT NULL THEN
        RETURN k.retired_at;
    ELSIF NOT EXISTS (
        SELECT FROM enotify.token_key n WHERE n.retired_at IS NULL AND (n.created_at, n.id) > (k.created_at, k.id)
    ) THEN
        RAISE object_in_use
            USING MESSAGE = format('key %s is the one that signs', key),
                  HINT = 'make another one first: enotify bounce key rotate';
    END IF;
    UPDATE enotify.token_key SET retired_at = clock_timestamp() WHERE id = key RETURNING retired_at INTO at;
    RETURN at;
END $$;

COMMENT ON FUNCTION enotify.retire_token_key IS
    'refuses the signatures of a key from now on, and returns since when; the key that signs cannot be retired';

GRANT EXECUTE ON FUNCTION enotify.retire_token_key TO enotify_admin, enotify_sender;
