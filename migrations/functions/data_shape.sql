-- Recipients of equal shape fill a template alike: they have values for the same fields, and the same ones of them are
-- empty, which is what {{if}} tests.
CREATE OR REPLACE FUNCTION enotify.data_shape(data jsonb) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF jsonb_typeof(data) <> 'object' THEN
        RETURN NULL;
    END IF;
    RETURN (SELECT string_agg(key || CASE
                WHEN value IN ('""', 'false', '0', '[]', '{}') THEN '-'
                WHEN jsonb_typeof(value) = 'object' THEN '{' || coalesce(enotify.data_shape(value), '') || '}'
                WHEN jsonb_typeof(value) = 'array' THEN '['
                ELSE '+' END, E'\n')
            FROM jsonb_each(data) WHERE value <> 'null');
END $$;

COMMENT ON FUNCTION enotify.data_shape IS
    'which fields of merge data have a value, and which of the values are empty; NULL: no field has one';

GRANT EXECUTE ON FUNCTION enotify.data_shape TO enotify_admin, enotify_sender;
