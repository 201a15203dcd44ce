-- IDN (RFC 5891), with the mappings of UTS #46 as far as NFKC and lower() have them: full-width letters, other full
-- stops. Lower case is that of the root locale where the server has ICU: the database's locale may know no letters
-- outside ASCII (C), or have rules of its own (Turkish).
CREATE OR REPLACE FUNCTION enotify.a_labels(domain text) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT SET search_path = pg_catalog, pg_temp AS $$
DECLARE low text;
BEGIN
    IF EXISTS (SELECT FROM pg_collation c WHERE c.collname = 'und-x-icu') THEN
        low := lower(normalize(domain, NFKC) COLLATE "und-x-icu");
    ELSE
        low := lower(normalize(domain, NFKC));
    END IF;
    RETURN (
        SELECT string_agg(CASE WHEN l ~ E'^[\\x01-\\x7f]*$' THEN l ELSE 'xn--' || enotify.punycode(l) END, '.'
                          ORDER BY i)
        FROM regexp_split_to_table(translate(normalize(low, NFC), E'\u3002\uFF0E\uFF61', '...'), E'\\.')
             WITH ORDINALITY AS t(l, i));
END $$;

COMMENT ON FUNCTION enotify.a_labels IS 'a domain in lower case and A-labels; a trailing dot stays';

GRANT EXECUTE ON FUNCTION enotify.a_labels TO enotify_app, enotify_admin, enotify_sender;
