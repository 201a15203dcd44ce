CREATE OR REPLACE FUNCTION enotify.skip_batches(numbers bigint[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    highest bigint := (SELECT max(n) FROM unnest(numbers) n);
BEGIN
    PERFORM setval(s, highest) FROM pg_get_serial_sequence('enotify.batch', 'id') s
    WHERE highest > (SELECT last_value FROM enotify.batch_id_seq);
END $$;

COMMENT ON FUNCTION enotify.skip_batches IS
    'after the database went back: gives no new batch a number that a node knows of a batch that is forgotten';

GRANT EXECUTE ON FUNCTION enotify.skip_batches TO enotify_sender;
