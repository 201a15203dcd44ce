-- An address that goes on to the left or right, as in xann@a.example.org, is another one.
CREATE OR REPLACE FUNCTION enotify.redacted(words text, address text) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE WHEN strpos(lower($1), lower($2)) = 0 THEN $1 ELSE regexp_replace($1,
        '(^|[^a-z0-9._%+-])' || regexp_replace(lower($2), '([^[:alnum:]])', E'\\\\\\1', 'g') || '(?![.]?[a-z0-9-])',
        E'\\1(forgotten)', 'gi') END
$$;

COMMENT ON FUNCTION enotify.redacted IS 'a text, with "(forgotten)" in place of an address in it';
