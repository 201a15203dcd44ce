CREATE OR REPLACE FUNCTION enotify.suppressed(address text, client int)
RETURNS TABLE (class enotify.reply_class, reply text)
LANGUAGE sql STABLE AS $$
    SELECT x.class, x.reply FROM (
        SELECT CASE WHEN s.cause IN ('no_such_user', 'mailbox_full') THEN s.cause::enotify.reply_class END AS class,
               format('suppressed since %s: %s',
                      to_char(s.added_at, 'YYYY-MM-DD'), concat_ws(': ', s.cause, nullif(s.note, ''))) AS reply,
               s.client_id
        FROM enotify.suppression s
        WHERE s.address = ANY (ARRAY[lower($1), CASE WHEN (SELECT EXISTS (SELECT FROM enotify.hash_key))
                                                     THEN enotify.hashed_address($1) END])
          AND (s.client_id IS NULL OR s.client_id = $2) AND (s.until IS NULL OR s.until > now())
        UNION ALL
        SELECT NULL, 'the address was forgotten', NULL WHERE $1 = ''
    ) x ORDER BY x.client_id NULLS FIRST LIMIT 1
$$;

COMMENT ON FUNCTION enotify.suppressed IS
    'why an address gets no mail from a client; no row: it does. Checked by submit_batch and again before each try';

GRANT EXECUTE ON FUNCTION enotify.suppressed TO enotify_admin, enotify_sender;
