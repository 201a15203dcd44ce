CREATE OR REPLACE FUNCTION enotify.enqueue(
    idem_key text, from_address text, subject text, body_text text, addresses text[], data jsonb[] DEFAULT NULL,
    body_html text DEFAULT NULL, from_name text DEFAULT NULL, reply_to text DEFAULT NULL, priority int DEFAULT 0,
    not_before timestamptz DEFAULT NULL, expires_at timestamptz DEFAULT NULL, on_unknown text DEFAULT 'hold',
    list_unsubscribe text DEFAULT NULL, headers jsonb DEFAULT NULL, lang text DEFAULT NULL,
    pool text DEFAULT NULL, send_window text DEFAULT NULL
) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    id  bigint := enotify.create_batch(idem_key, from_address, subject, body_text, body_html, from_name, reply_to,
                                       priority, not_before, expires_at, on_unknown, list_unsubscribe,
                                       headers, lang, pool, send_window);
    b   enotify.batch := enotify.my_draft(id);
BEGIN
    IF b.state = 'draft' THEN
        PERFORM enotify.add_recipients(id, addresses, data);
        PERFORM enotify.submit_batch(id, cardinality(addresses));
    END IF;
    RETURN id;
END $$;

COMMENT ON FUNCTION enotify.enqueue IS
    'create_batch, add_recipients and submit_batch in one call, in the caller''s transaction; a second call with the '
    'same idem_key changes nothing';

GRANT EXECUTE ON FUNCTION enotify.enqueue TO enotify_app, enotify_admin;
