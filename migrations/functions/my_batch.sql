CREATE OR REPLACE FUNCTION enotify.my_batch(batch bigint) RETURNS enotify.batch
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE b enotify.batch;
BEGIN
    SELECT * INTO b FROM enotify.batch x
    WHERE x.id = my_batch.batch AND x.client_id = ANY (enotify.my_clients()) FOR UPDATE;
    IF b.id IS NULL THEN
        RAISE EXCEPTION 'no batch % of yours', coalesce(batch::text, 'NULL') USING ERRCODE = 'no_data_found';
    END IF;
    RETURN b;
END $$;

COMMENT ON FUNCTION enotify.my_batch IS
    'locks and returns a batch; an error when there is none that this login may see';
