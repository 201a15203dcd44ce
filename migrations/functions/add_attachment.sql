CREATE OR REPLACE FUNCTION enotify.add_attachment(
    batch bigint, filename text, content bytea, content_type text DEFAULT ''
) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    b enotify.batch := enotify.my_batch(batch);
    i int;
BEGIN
    IF b.state <> 'draft' THEN
        RAISE EXCEPTION 'batch % is submitted; it takes no more attachments', b.id
            USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    INSERT INTO enotify.attachment (batch_id, n, filename, content_type, content)
    SELECT b.id, coalesce(max(a.n), 0) + 1, add_attachment.filename, add_attachment.content_type, add_attachment.content
    FROM enotify.attachment a WHERE a.batch_id = b.id
    RETURNING attachment.n INTO i;
    RETURN i;
END $$;

COMMENT ON FUNCTION enotify.add_attachment IS 'attaches a file to every message of a draft; returns its position';

GRANT EXECUTE ON FUNCTION enotify.add_attachment TO enotify_app, enotify_admin;
