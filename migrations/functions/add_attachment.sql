CREATE OR REPLACE FUNCTION enotify.add_attachment(
    batch bigint, filename text, content bytea, content_type text DEFAULT '', content_id text DEFAULT ''
) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    b enotify.batch := enotify.my_draft(batch);
    i int;
    octets bigint;
    words text;
BEGIN
    IF b.state <> 'draft' THEN
        RAISE EXCEPTION 'batch % is submitted; it takes no more attachments', b.id
            USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    SELECT coalesce(max(a.n), 0) + 1, coalesce(sum(octet_length(a.content)), 0) + octet_length(add_attachment.content)
    INTO i, octets FROM enotify.attachment a WHERE a.batch_id = b.id;
    words := CASE
        WHEN i > 20 THEN 'the batch has 20 attachments already, and may have no more'
        WHEN octets > 26214400 THEN
            format('the attachments of the batch would have %s MiB, where 25 are allowed', octets / 1048576)
        WHEN add_attachment.filename IS NULL OR length(add_attachment.filename) NOT BETWEEN 1 AND 200 THEN
            format('the file name of an attachment has %s characters, where 1 to 200 are allowed',
                   coalesce(length(add_attachment.filename), 0))
        WHEN add_attachment.filename ~ E'[\\x01-\\x1f"\\\\/\\x7f-\\x9f]' THEN
            format('the file name %s holds a quote, slash, backslash or control character',
                   quote_literal(add_attachment.filename))
        WHEN add_attachment.content IS NULL THEN 'the attachment has no content'
        WHEN add_attachment.content_type <> '' AND (length(add_attachment.content_type) > 200
             OR add_attachment.content_type
             !~ E'^[A-Za-z0-9.+-]+/[A-Za-z0-9.+-]+(; *[A-Za-z0-9-]+=("[ !#-\\[\\]-~]*"|[A-Za-z0-9!#$&^_.+-]+))*$') THEN
            format('the content type %L is no media type, as application/pdf', left(add_attachment.content_type, 80))
        WHEN add_attachment.content_id !~ E'^[!#-;=?-\\[\\]-~]*$' OR length(add_attachment.content_id) > 200 THEN
            format('the content id %L holds a space, quote or angle bracket, or more than 200 characters',
                   left(add_attachment.content_id, 80))
        END;
    IF words IS NOT NULL THEN
        RAISE EXCEPTION '%', words USING ERRCODE = 'check_violation';
    END IF;
    INSERT INTO enotify.attachment (batch_id, n, filename, content_type, content_id, content)
    VALUES (b.id, i, add_attachment.filename, coalesce(add_attachment.content_type, ''),
            coalesce(add_attachment.content_id, ''), add_attachment.content);
    RETURN i;
END $$;

COMMENT ON FUNCTION enotify.add_attachment IS
    'attaches a file to every message of a draft; returns its position. content_id: the HTML shows it, as '
    '<img src="cid:…">. At most 20 files of 25 MiB together';

GRANT EXECUTE ON FUNCTION enotify.add_attachment TO enotify_app, enotify_admin;
