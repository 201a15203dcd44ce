CREATE OR REPLACE FUNCTION enotify.add_recipients(
    batch bigint, addresses text[], data jsonb[] DEFAULT NULL
) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE added int;
BEGIN
    IF batch IS NULL THEN
        RAISE EXCEPTION 'no batch NULL of yours' USING ERRCODE = 'no_data_found';
    END IF;
    IF data IS NOT NULL AND cardinality(data) <> cardinality(addresses) THEN
        RAISE EXCEPTION '% addresses but % data', cardinality(addresses), cardinality(data)
            USING ERRCODE = 'array_subscript_error';
    END IF;
    INSERT INTO enotify.recipient_in (batch_id, address, data)
    SELECT add_recipients.batch, a, d FROM unnest(addresses, coalesce(add_recipients.data, '{}')) AS t(a, d);
    GET DIAGNOSTICS added = ROW_COUNT;
    RETURN added;
END $$;

COMMENT ON FUNCTION enotify.add_recipients IS
    'stages recipients of a draft and returns how many. For large numbers, COPY enotify.recipient_in is faster';

GRANT EXECUTE ON FUNCTION enotify.add_recipients TO enotify_app, enotify_admin;
