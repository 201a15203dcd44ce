CREATE OR REPLACE FUNCTION enotify.pool_problem(pool text, client int, priority int, operator boolean) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    kind text := (SELECT p.kind FROM enotify.pool p WHERE p.name = $1);
BEGIN
    IF $1 IS NULL THEN
        RETURN NULL;
    ELSIF kind IS NULL THEN
        RETURN format('there is no pool %s: an operator adds an address to it, enotify egress add ADDRESS --pool %s',
                      $1, $1);
    ELSIF kind = 'urgent' AND $3 <= 0 THEN
        RETURN format('the pool %s is for urgent batches: give the batch a priority above 0, or another pool', $1);
    ELSIF kind = 'private' AND NOT $4 AND NOT EXISTS (SELECT FROM enotify.client c WHERE c.id = $2 AND c.pool = $1) THEN
        RETURN format('the pool %s is private, and not that of client %s: an operator sets it, '
                      'enotify client set %s --pool %s', $1, (SELECT c.domain FROM enotify.client c WHERE c.id = $2),
                      (SELECT c.domain FROM enotify.client c WHERE c.id = $2), $1);
    END IF;
    RETURN NULL;
END $$;

COMMENT ON FUNCTION enotify.pool_problem IS
    'why a batch of a client may not leave from a pool; NULL: it may, or names none';
