-- Whoever knows a token may act as its login, and nobody else may: the setting is worth nothing without it. A setting
-- that is no token's key is refused, and never means the session's own login.
CREATE OR REPLACE FUNCTION enotify.my_login() RETURNS name
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    key   text := current_setting('enotify.token', true);
    found name;
BEGIN
    IF coalesce(key, '') = '' THEN
        RETURN session_user;
    END IF;
    SELECT t.login INTO found FROM enotify.token t JOIN pg_roles r ON r.rolname = t.login
    WHERE t.hash = sha256(convert_to(key, 'UTF8')) AND t.retired_at IS NULL AND r.rolcanlogin
      AND pg_has_role(r.oid, 'enotify_app', 'MEMBER') AND NOT pg_has_role(r.oid, 'enotify_admin', 'MEMBER')
      AND NOT pg_has_role(r.oid, 'enotify_sender', 'MEMBER') AND NOT pg_has_role(r.oid, current_user, 'MEMBER');
    IF found IS NULL THEN
        RAISE EXCEPTION 'the token is not known, or retired, or its login is none of an application'
            USING ERRCODE = 'invalid_authorization_specification',
                  HINT = 'an operator makes one: enotify token add --role LOGIN';
    END IF;
    RETURN found;
END $$;

COMMENT ON FUNCTION enotify.my_login IS
    'whose rights count: the login of the session, or that of the token whose key the setting enotify.token has. The '
    'HTTP listener of nodes sets it for one transaction';

GRANT EXECUTE ON FUNCTION enotify.my_login TO enotify_app, enotify_admin, enotify_sender;
