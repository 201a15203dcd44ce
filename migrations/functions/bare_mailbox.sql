-- What stands around an address when it was copied out of a spreadsheet, a web page or a mail program: white space and
-- characters that nobody sees (Default_Ignorable_Code_Point, Unicode 16), quotes, angle brackets, mailto:, the formula
-- of a link, a separator at the end, an apostrophe before it that marks a cell as text, a full-width @.
CREATE OR REPLACE FUNCTION enotify.bare_mailbox(address text) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    unseen CONSTANT text := enotify.unseen();
    edge   CONSTANT text := E'[\\s\\u00A0\\u1680\\u2000-\\u200A\\u2028\\u2029\\u202F\\u205F\\u3000' || unseen || ']+';
    a      text := translate(address, E'\uFF20\uFE6B', '@@');
    before text;
BEGIN
    LOOP
        before := a;
        a := regexp_replace(a, '^' || edge || '|' || edge || '$', '', 'g');
        a := regexp_replace(a, E'^=HYPERLINK\\(\\s*"mailto:([^"?]+).*$', E'\\1', 'i');
        a := regexp_replace(a, E'^mailto:([^?]+).*$', E'\\1', 'i');
        a := regexp_replace(a, E'^<([^<>]*)>$', E'\\1');
        a := regexp_replace(a, E'^["''`\u201C\u201D\u201E\u2018\u2019\u201A\u00AB\u00BB](.*@.*)'
                            || E'["''`\u201C\u201D\u2018\u2019\u00AB\u00BB]$', E'\\1');
        a := regexp_replace(a, E'(@.*[^,;])[,;]+$', E'\\1');
        a := regexp_replace(a, E'^''([^''@]+@)', E'\\1');
        EXIT WHEN a = before;
    END LOOP;
    IF strpos(a, '@') = 0 OR a ~ ('[' || unseen || ']') THEN
        RETURN a; -- mailbox_problem() says so
    END IF;
    IF octet_length(a) <> length(a) THEN
        RETURN normalize(regexp_replace(a, '[^@]*$', ''), NFC)
            || coalesce(enotify.a_labels(substring(a from '[^@]*$')), '');
    END IF;
    RETURN regexp_replace(a, '[^@]*$', lower(substring(a from '[^@]*$') COLLATE "C"));
END $$;

COMMENT ON FUNCTION enotify.bare_mailbox IS 'mailbox() for the addresses that need more than lower case';

GRANT EXECUTE ON FUNCTION enotify.bare_mailbox TO enotify_app, enotify_admin, enotify_sender;
