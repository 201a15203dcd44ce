CREATE OR REPLACE FUNCTION enotify.suppressed(address text, client int)
RETURNS TABLE (class enotify.reply_class, reply text)
LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN s.cause IN ('no_such_user', 'mailbox_full') THEN s.cause::enotify.reply_class END,
           format('suppressed since %s: %s',
                  to_char(s.added_at, 'YYYY-MM-DD'), concat_ws(': ', s.cause, nullif(s.note, '')))
    FROM enotify.suppression s
    WHERE s.address = lower($1) AND (s.client_id IS NULL OR s.client_id = $2) AND (s.until IS NULL OR s.until > now())
    ORDER BY s.client_id NULLS FIRST LIMIT 1
$$;

COMMENT ON FUNCTION enotify.suppressed IS
    'why an address gets no mail from a client; no row: it does. Checked by submit_batch and again before each try';

GRANT EXECUTE ON FUNCTION enotify.suppressed TO enotify_admin, enotify_sender;
