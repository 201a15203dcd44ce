-- Without a subquery and without SET, so that the planner inlines it: it is evaluated for every staged recipient. The
-- rest is in bare_mailbox(), which few of them need. Lower case of ASCII alone, by the collation C: in a Turkish
-- database the lower case of I is no i.
CREATE OR REPLACE FUNCTION enotify.mailbox(address text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE
        WHEN address ~ E'^[!-&(-9;-?A-~][!-9;-?A-~]*@[a-z0-9._-]+$' THEN address -- nothing to do, as nearly always
        WHEN octet_length(address) > 1000 THEN address -- a regular expression would take time over it
        WHEN address ~ E'^[!-&(-9;-?A-~][!-9;-?A-~]*@[A-Za-z0-9._-]+$'
        THEN left(address, strpos(address, '@')) || lower(substr(address, strpos(address, '@') + 1) COLLATE "C")
        ELSE enotify.bare_mailbox(address) END
$$;

COMMENT ON FUNCTION enotify.mailbox IS
    'the address without what spreadsheets and mail programs put around it, its local part in NFC, its domain in lower '
    'case and A-labels; does not check it, see mailbox_problem()';

GRANT EXECUTE ON FUNCTION enotify.mailbox TO enotify_app, enotify_admin, enotify_sender;
