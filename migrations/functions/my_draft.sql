-- A batch that is no draft is not locked: the engine moves it, and must not wait for an application's transaction.
CREATE OR REPLACE FUNCTION enotify.my_draft(batch bigint) RETURNS enotify.batch
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE b enotify.batch;
BEGIN
    SELECT * INTO b FROM enotify.batch x
    WHERE x.id = my_draft.batch AND x.state = 'draft' AND x.client_id = ANY (enotify.my_clients()) FOR UPDATE;
    IF NOT FOUND THEN
        SELECT * INTO b FROM enotify.batch x WHERE x.id = my_draft.batch AND x.client_id = ANY (enotify.my_clients());
    END IF;
    IF b.id IS NULL THEN
        RAISE EXCEPTION 'no batch % of yours', coalesce(batch::text, 'NULL') USING ERRCODE = 'no_data_found';
    END IF;
    RETURN b;
END $$;

COMMENT ON FUNCTION enotify.my_draft IS
    'returns a batch, locked if it is a draft; an error when there is none that this login may see';
