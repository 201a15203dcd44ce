CREATE OR REPLACE FUNCTION enotify.headers_problem(headers jsonb) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE WHEN jsonb_typeof(headers) <> 'object' THEN 'headers is not a JSON object: {"X-Campaign": "May"}'
    ELSE (
        SELECT CASE
            WHEN count(*) > 20 THEN format('headers has %s fields, where 20 are allowed', count(*))
            ELSE min(CASE
                WHEN h.name !~ '^[A-Za-z][A-Za-z0-9-]*$' OR length(h.name) > 60 THEN
                    format('%s is no name of a header field: a letter, then letters, digits and hyphens, at most 60',
                           quote_literal(h.name))
                WHEN lower(h.name) IN (
                    'from', 'sender', 'to', 'cc', 'bcc', 'reply-to', 'subject', 'date', 'message-id', 'mime-version',
                    'return-path', 'received', 'delivered-to', 'auto-submitted', 'precedence', 'list-unsubscribe',
                    'list-unsubscribe-post', 'feedback-id', 'cfbl-address', 'cfbl-feedback-id', 'dkim-signature',
                    'domainkey-signature', 'authentication-results', 'received-spf')
                    OR lower(h.name) ~ '^(content|resent|arc|dkim|x-enotify)-' THEN
                    format('the header field %s is written by enotify', h.name)
                WHEN jsonb_typeof(h.value) <> 'string' THEN
                    format('the value of the header field %s is not a string or a list of strings', h.name)
                WHEN btrim(h.value #>> '{}') = '' THEN format('the header field %s is empty', h.name)
                WHEN h.value #>> '{}' ~ E'[\\x01-\\x1f\\x7f-\\x9f]' THEN
                    format('the header field %s holds a line break or other control character', h.name)
                WHEN length(h.value #>> '{}') > 900 THEN
                    format('the header field %s has %s characters, where 900 are allowed',
                           h.name, length(h.value #>> '{}'))
                END)
            END
        FROM (SELECT e.key AS name, v.value
              FROM jsonb_each(CASE jsonb_typeof(headers) WHEN 'object' THEN headers ELSE '{}' END) e
              CROSS JOIN LATERAL jsonb_array_elements(
                  CASE jsonb_typeof(e.value) WHEN 'array' THEN e.value ELSE jsonb_build_array(e.value) END) v) h
    ) END
$$;

COMMENT ON FUNCTION enotify.headers_problem IS
    'why a batch cannot have these header fields; NULL: it can. Fields that enotify writes itself are refused';
