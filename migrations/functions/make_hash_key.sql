CREATE OR REPLACE FUNCTION enotify.make_hash_key() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    -- 366 random bits make the 256 of the key; zeros fill it up to a block of SHA-256.
    key bytea := sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()))
              || decode(repeat('00', 32), 'hex');
    i   bytea := key;
    o   bytea := key;
BEGIN
    FOR at IN 0..63 LOOP
        i := set_byte(i, at, get_byte(key, at) # 54); -- 0x36
        o := set_byte(o, at, get_byte(key, at) # 92); -- 0x5c
    END LOOP;
    INSERT INTO enotify.hash_key (inner_pad, outer_pad) VALUES (i, o) ON CONFLICT DO NOTHING;
END $$;

COMMENT ON FUNCTION enotify.make_hash_key IS 'makes the key of hashed_address(), unless there is one';
