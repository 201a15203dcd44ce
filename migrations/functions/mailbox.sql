-- Without a subquery and without SET, so that the planner inlines it: it is evaluated for every staged recipient. Lower
-- case of ASCII alone, by the collation C: in a Turkish database the lower case of I is no i.
CREATE OR REPLACE FUNCTION enotify.mailbox(address text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE
        WHEN address ~ '^[!-?A-~]+@[a-z0-9._-]+$' THEN address -- nothing to do, as nearly always
        WHEN octet_length(address) = length(address)
        THEN regexp_replace(btrim(address, E' \t\r\n'), '[^@]*$',
             lower(substring(btrim(address, E' \t\r\n') from '[^@]*$') COLLATE "C"))
        ELSE regexp_replace(btrim(address, E' \t\r\n\u00A0\uFEFF'), '[^@]*$',
             coalesce(enotify.a_labels(substring(btrim(address, E' \t\r\n\u00A0\uFEFF') from '[^@]*$')), '')) END
$$;

COMMENT ON FUNCTION enotify.mailbox IS
    'the address without surrounding space, its domain in lower case and A-labels; does not check it, see '
    'mailbox_problem()';

GRANT EXECUTE ON FUNCTION enotify.mailbox TO enotify_app, enotify_admin;
