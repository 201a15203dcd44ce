-- In PL/pgSQL for its plan, as may_send().
CREATE OR REPLACE FUNCTION enotify.batch_pool(pool text, priority int, client int) RETURNS text
LANGUAGE plpgsql STABLE AS $$
DECLARE
    found text := $1;
BEGIN
    IF found IS NULL AND $2 > 0 THEN
        SELECT p.name INTO found FROM enotify.pool p WHERE p.kind = 'urgent';
    END IF;
    IF found IS NULL THEN
        SELECT c.pool INTO found FROM enotify.client c WHERE c.id = $3;
    END IF;
    RETURN found;
END $$;

COMMENT ON FUNCTION enotify.batch_pool IS
    'the pool of egress addresses that a batch leaves from, by its columns pool, priority and client_id';

GRANT EXECUTE ON FUNCTION enotify.batch_pool TO enotify_admin, enotify_sender;
