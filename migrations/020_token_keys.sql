-- Keys of return paths are made and retired by functions, so that whoever steers need not see a secret.

CREATE FUNCTION enotify.make_token_key(first boolean DEFAULT false) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE made text;
BEGIN
    LOCK TABLE enotify.token_key IN SHARE ROW EXCLUSIVE MODE;
    IF first AND EXISTS (SELECT FROM enotify.token_key WHERE retired_at IS NULL) THEN
        RETURN NULL;
    END IF;
    -- The name is the next number: a short one keeps tokens short. 366 random bits make the secret of 256.
    INSERT INTO enotify.token_key (id, secret, created_at)
    SELECT (count(*) + 1)::text, sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())), clock_timestamp()
    FROM enotify.token_key RETURNING id INTO made;
    RETURN made;
END $$;
COMMENT ON FUNCTION enotify.make_token_key(boolean) IS
    'makes a key, which signs from now on, and returns its id; first: only where there is none in use, and else NULL';

CREATE FUNCTION enotify.retire_token_key(key text) RETURNS timestamptz
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE k enotify.token_key; at timestamptz;
BEGIN
    LOCK TABLE enotify.token_key IN SHARE ROW EXCLUSIVE MODE;
    SELECT * INTO k FROM enotify.token_key WHERE id = key;
    IF NOT FOUND THEN
        RAISE no_data_found USING MESSAGE = format('there is no key %s', key), HINT = 'enotify bounce key list shows those there are';
    ELSIF k.retired_at IS NOT NULL THEN
        RETURN k.retired_at;
    ELSIF NOT EXISTS (SELECT FROM enotify.token_key n WHERE n.retired_at IS NULL AND (n.created_at, n.id) > (k.created_at, k.id)) THEN
        RAISE object_in_use USING MESSAGE = format('key %s is the one that signs', key), HINT = 'make another one first: enotify bounce key rotate';
    END IF;
    UPDATE enotify.token_key SET retired_at = clock_timestamp() WHERE id = key RETURNING retired_at INTO at;
    RETURN at;
END $$;
COMMENT ON FUNCTION enotify.retire_token_key(text) IS
    'has what a key signed refused from now on, and returns since when; the key that signs cannot be retired';

CREATE TRIGGER changed AFTER INSERT OR UPDATE OR DELETE ON enotify.token_key
    FOR EACH STATEMENT EXECUTE FUNCTION enotify.setting_changed();

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA enotify FROM PUBLIC;
REVOKE INSERT, UPDATE ON enotify.token_key FROM enotify_sender;
GRANT SELECT (id, created_at, retired_at) ON enotify.token_key TO enotify_admin;
GRANT EXECUTE ON FUNCTION enotify.make_token_key, enotify.retire_token_key TO enotify_admin, enotify_sender;
