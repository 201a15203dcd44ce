-- A function, so that a login can make a key without being able to read a secret.
CREATE OR REPLACE FUNCTION enotify.make_token_key(first boolean DEFAULT false) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE made text;
BEGIN
    LOCK TABLE enotify.token_key IN SHARE ROW EXCLUSIVE MODE;
    IF first AND EXISTS (SELECT FROM enotify.token_key WHERE retired_at IS NULL) THEN
        RETURN NULL;
    END IF;
    -- The id is the next number: short, since it is part of every token. 366 random bits make the 256 of the secret.
    INSERT INTO enotify.token_key (id, secret, created_at)
    SELECT (count(*) + 1)::text,
           sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())),
           clock_timestamp()
    FROM enotify.token_key RETURNING id INTO made;
    RETURN made;
END $$;

COMMENT ON FUNCTION enotify.make_token_key IS
    'makes a key, which signs from now on, and returns its id. first: only when no key is in use, else NULL';

GRANT EXECUTE ON FUNCTION enotify.make_token_key TO enotify_admin, enotify_sender;
