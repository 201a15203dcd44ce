-- RFC 5321 §4.1.2 with the limits of §4.5.3.1. Lengths are checked by octet_length(): bounds in a regular expression
-- ({1,253}) cost 30 times as much. Without a subquery and without SET, so that the planner inlines it.
CREATE OR REPLACE FUNCTION enotify.mailbox_problem(m text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE
        WHEN m IS NULL OR m = '' THEN 'empty'
        WHEN octet_length(m) <= 64
             AND m ~ E'^[A-Za-z0-9!#$%&''*+/=?^_`{|}~.-]+@([a-z0-9_-]+\\.)+[a-z0-9-]*[a-z][a-z0-9-]*$'
             AND m !~ E'(^\\.|\\.\\.|\\.@|@-|-\\.|\\.-|-$)' THEN NULL
        WHEN octet_length(m) > 1000 THEN 'longer than 254 octets' -- before a regular expression takes time over it
        WHEN m ~ E'^#(NAME|REF|N/A|VALUE|NUM|NULL|DIV/0)[!?]?$' THEN 'an error of a spreadsheet'
        WHEN strpos(m, '@') = 0 THEN 'no @'
        WHEN octet_length(m) > 254 THEN 'longer than 254 octets'
        WHEN enotify.invisible(m) IS NOT NULL THEN enotify.invisible(m)
        WHEN m ~ '^=.*[(]' THEN 'a formula of a spreadsheet'
        WHEN m ~ E'[\\x01-\\x1f\\x7f]' THEN 'control character'
        WHEN m ~ '<.*@.*>' THEN 'has a display name; give the bare address'
        WHEN m ~ E'@\\[.*\\]$' THEN 'address literal instead of a domain'
        WHEN octet_length(m) - octet_length(substring(m from '[^@]*$')) - 1 > 64
        THEN 'local part longer than 64 octets'
        WHEN m ~ '^@' THEN 'no local part'
        WHEN m ~ '@$' THEN 'no domain'
        WHEN m !~ (E'^(?:[A-Za-z0-9!#$%&''*+/=?^_`{|}~\\u0080-\\U0010FFFF-]+'
                || E'(?:\\.[A-Za-z0-9!#$%&''*+/=?^_`{|}~\\u0080-\\U0010FFFF-]+)*'
                || E'|"(?:[\\x20-\\x21\\x23-\\x5b\\x5d-\\x7e\\u0080-\\U0010FFFF]|\\\\[\\x20-\\x7e])*")@[^@]*$') THEN
            CASE WHEN m ~ '@.*@' THEN 'more than one @'
                 WHEN m ~ E'(^\\.|\\.\\.|\\.@)' THEN 'dot at an edge of the local part or twice in a row'
                 WHEN m ~ E'\\s' THEN 'white space'
                 WHEN m ~ '[,;]' THEN 'more than one address'
                 ELSE 'character not allowed in a local part' END
        WHEN m ~ E'\\.$' THEN 'domain ends with a dot'
        WHEN m !~ E'\\.' OR m !~ E'@.*\\.' THEN 'domain without a dot'
        WHEN m !~ E'@(?:[a-z0-9_-]+\\.)+[a-z0-9-]+$' OR m ~ E'(@-|-\\.[^@]*$|\\.-[^@]*$|-$)' THEN 'not a domain name'
        WHEN m ~ E'\\.[0-9]+$' THEN 'top-level domain is a number'
        WHEN substring(m from '[^@]*$') ~ '[^.]{64}' THEN 'domain label longer than 63 octets'
        ELSE NULL END
$$;

COMMENT ON FUNCTION enotify.mailbox_problem IS
    'why mail cannot be sent to this mailbox (RFC 5321 §4.1.2); NULL: it can. Takes the result of mailbox()';

GRANT EXECUTE ON FUNCTION enotify.mailbox_problem TO enotify_app, enotify_admin, enotify_sender;
