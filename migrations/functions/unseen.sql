-- Default_Ignorable_Code_Point of Unicode 16 (DerivedCoreProperties.txt), as the inside of a bracket expression.
CREATE OR REPLACE FUNCTION enotify.unseen() RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT E'\\u00AD\\u034F\\u061C\\u115F-\\u1160\\u17B4-\\u17B5\\u180B-\\u180F\\u200B-\\u200F\\u202A-\\u202E'
        || E'\\u2060-\\u206F\\u3164\\uFE00-\\uFE0F\\uFEFF\\uFFA0\\uFFF0-\\uFFF8\\U0001BCA0-\\U0001BCA3'
        || E'\\U0001D173-\\U0001D17A\\U000E0000-\\U000E0FFF'
$$;

COMMENT ON FUNCTION enotify.unseen IS 'characters that nobody sees, for a regular expression: [ and ] go around them';

GRANT EXECUTE ON FUNCTION enotify.unseen TO enotify_app, enotify_admin, enotify_sender;
