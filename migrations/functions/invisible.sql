CREATE OR REPLACE FUNCTION enotify.invisible(m text) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    c text := substring(m from '[' || enotify.unseen() || ']');
    n text := to_hex(ascii(c));
BEGIN
    IF c IS NULL THEN
        RETURN NULL;
    END IF;
    n := upper(lpad(n, greatest(4, length(n)), '0'));
    RETURN format('invisible character U+%s%s', n, coalesce(' (' || CASE ascii(c)
        WHEN 173 THEN 'soft hyphen' WHEN 8203 THEN 'zero width space' WHEN 8204 THEN 'zero width non-joiner'
        WHEN 8205 THEN 'zero width joiner' WHEN 8206 THEN 'left-to-right mark' WHEN 8207 THEN 'right-to-left mark'
        WHEN 8234 THEN 'left-to-right embedding' WHEN 8235 THEN 'right-to-left embedding'
        WHEN 8236 THEN 'pop directional formatting' WHEN 8237 THEN 'left-to-right override'
        WHEN 8238 THEN 'right-to-left override' WHEN 8288 THEN 'word joiner' WHEN 65039 THEN 'variation selector-16'
        WHEN 65279 THEN 'zero width no-break space' END || ')', ''));
END $$;

COMMENT ON FUNCTION enotify.invisible IS
    'the first character of an address that nobody sees (Default_Ignorable_Code_Point), by number and name; NULL: none';

GRANT EXECUTE ON FUNCTION enotify.invisible TO enotify_app, enotify_admin, enotify_sender;
