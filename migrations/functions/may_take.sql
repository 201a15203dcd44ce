-- after: window_allows, quota_left
CREATE OR REPLACE FUNCTION enotify.may_take(batch bigint, messages bigint) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (SELECT enotify.window_allows(b.client_id, b.priority, b.send_window)
               AND coalesce(enotify.quota_left(b.client_id) >= $2, true)
            FROM enotify.batch b WHERE b.id = $1);
END $$;

COMMENT ON FUNCTION enotify.may_take IS
    'whether first tries of so many recipients of a batch may begin: its windows are open, and its client has as many '
    'messages left';

GRANT EXECUTE ON FUNCTION enotify.may_take TO enotify_sender;
