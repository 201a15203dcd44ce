-- In PL/pgSQL, whose plan the session keeps: enqueue() asks five times.
CREATE OR REPLACE FUNCTION enotify.my_clients() RETURNS int[]
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    me name := enotify.my_login();
BEGIN
    IF pg_has_role(me, 'enotify_admin', 'MEMBER') OR pg_has_role(me, 'enotify_sender', 'MEMBER')
       OR pg_has_role(me, current_user, 'MEMBER') -- the owner of this function
    THEN
        RETURN (SELECT coalesce(array_agg(c.id), '{}') FROM enotify.client c);
    END IF;
    IF EXISTS (SELECT FROM enotify.client_login l WHERE l.login = me) THEN
        RETURN (SELECT array_agg(l.client_id) FROM enotify.client_login l WHERE l.login = me);
    END IF;
    RETURN (SELECT coalesce(array_agg(c.id), '{}') FROM enotify.client c
            WHERE NOT EXISTS (SELECT FROM enotify.client_login l WHERE l.client_id = c.id));
END $$;

COMMENT ON FUNCTION enotify.my_clients IS
    'clients that this login may send for and see. Members of enotify_admin and enotify_sender, and the owner of the '
    'schema: all. A login tied to clients: those. Any other login: the clients tied to no login';

GRANT EXECUTE ON FUNCTION enotify.my_clients TO enotify_app, enotify_admin, enotify_sender;
