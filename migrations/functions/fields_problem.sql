CREATE OR REPLACE FUNCTION enotify.fields_problem(
    idem_key text, from_name text, list_unsubscribe text, on_unknown text, lang text
) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE
        WHEN idem_key IS NULL OR idem_key = '' THEN 'there is no idem_key, your own name for the batch'
        WHEN length(idem_key) > 200 THEN
            format('the idem_key has %s characters, where 200 are allowed', length(idem_key))
        WHEN from_name ~ E'[\\x01-\\x1f\\x7f-\\x9f]' THEN
            'the from_name holds a line break or other control character'
        WHEN length(from_name) > 200 THEN
            format('the from_name has %s characters, where 200 are allowed', length(from_name))
        WHEN list_unsubscribe <> '' AND (list_unsubscribe !~ '^(https|mailto):' OR list_unsubscribe ~ E'[\\s<>]') THEN
            'list_unsubscribe is no https: or mailto: URI, or holds a space or angle bracket'
        WHEN length(list_unsubscribe) > 800 THEN
            format('list_unsubscribe has %s characters, where 800 are allowed', length(list_unsubscribe))
        WHEN on_unknown NOT IN ('hold', 'resend') THEN
            format('on_unknown is %L, where hold or resend are allowed', on_unknown)
        WHEN lang <> '' AND lang !~ '^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}$' THEN
            format('lang %L is no language tag, as de or pt-BR', left(lang, 40))
        END
$$;

COMMENT ON FUNCTION enotify.fields_problem IS
    'why a batch cannot have these fields; NULL: it can. The CHECK constraints of the table refuse the same, whoever '
    'inserts; this says it in words';
