-- IDN (RFC 5891). The three characters that translate() replaces are other full stops (UTS #46 §4).
CREATE OR REPLACE FUNCTION enotify.a_labels(domain text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT SET search_path = pg_catalog, pg_temp AS $$
    SELECT string_agg(CASE WHEN l ~ E'^[\\x01-\\x7f]*$' THEN l ELSE 'xn--' || enotify.punycode(l) END, '.' ORDER BY i)
    FROM regexp_split_to_table(translate(normalize(lower(domain), NFC), E'\u3002\uFF0E\uFF61', '...'), E'\\.')
         WITH ORDINALITY AS t(l, i)
$$;

COMMENT ON FUNCTION enotify.a_labels IS 'a domain in lower case and A-labels; a trailing dot stays';

GRANT EXECUTE ON FUNCTION enotify.a_labels TO enotify_app, enotify_admin;
