CREATE OR REPLACE FUNCTION enotify.content_problem(subject text, body_text text, body_html text) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE
        WHEN subject IS NULL THEN 'there is no subject'
        WHEN subject ~ E'[\\x01-\\x1f\\x7f-\\x9f]' THEN
            'the subject holds a tab, line break or other control character'
        WHEN length(subject) > 900 THEN format('the subject has %s characters, where 900 are allowed', length(subject))
        WHEN octet_length(body_text) > 2097152 THEN
            format('the text has %s KiB, where 2048 are allowed', octet_length(body_text) / 1024)
        WHEN octet_length(body_html) > 2097152 THEN
            format('the HTML has %s KiB, where 2048 are allowed', octet_length(body_html) / 1024)
        END
$$;

COMMENT ON FUNCTION enotify.content_problem IS
    'why a batch cannot have this subject and these bodies; NULL: it can. Whether their merge fields can be read a '
    'node finds before the batch takes the turn';
