CREATE OR REPLACE FUNCTION enotify.my_clients() RETURNS int[]
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH me AS MATERIALIZED (SELECT enotify.my_login() AS login)
    SELECT coalesce(array_agg(c.id), '{}')
    FROM enotify.client c CROSS JOIN me
    WHERE pg_has_role(me.login, 'enotify_admin', 'MEMBER')
       OR pg_has_role(me.login, 'enotify_sender', 'MEMBER')
       OR pg_has_role(me.login, current_user, 'MEMBER') -- the owner of this function
       OR EXISTS (SELECT FROM enotify.client_login l WHERE l.client_id = c.id AND l.login = me.login)
       OR NOT EXISTS (SELECT FROM enotify.client_login l WHERE l.client_id = c.id OR l.login = me.login)
$$;

COMMENT ON FUNCTION enotify.my_clients IS
    'clients that this login may send for and see. Members of enotify_admin and enotify_sender, and the owner of the '
    'schema: all. A login tied to clients: those. Any other login: the clients tied to no login';

GRANT EXECUTE ON FUNCTION enotify.my_clients TO enotify_app, enotify_admin, enotify_sender;
