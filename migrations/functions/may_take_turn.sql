-- after: may_send, live_egress
--
-- In PL/pgSQL, whose plan the session keeps.
CREATE OR REPLACE FUNCTION enotify.may_take_turn(client int, pool text, begun boolean) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$
DECLARE
    addresses inet[] := ARRAY(
        SELECT DISTINCT e.address FROM enotify.live_egress e WHERE e.pool = $2 AND e.state = 'active');
BEGIN
    RETURN addresses <> '{}'
       AND NOT EXISTS (SELECT FROM enotify.client c WHERE c.id = $1 AND c.refused_at IS NOT NULL)
       AND NOT EXISTS (
        SELECT FROM unnest(addresses) e (ip)
        WHERE NOT EXISTS (
                SELECT FROM enotify.verdict v
                WHERE v.client_id = $1 AND v.identity = 'mailfrom' AND v.egress = e.ip AND v.superseded_at IS NULL
                  AND v.valid_until > now())
           OR EXISTS (
                SELECT FROM enotify.verdict v
                WHERE v.client_id = $1 AND v.egress = e.ip AND v.superseded_at IS NULL
                  AND (v.blocks AND NOT begun OR v.result = 'temperror')))
       AND EXISTS (SELECT FROM enotify.node n WHERE n.live_until > now() AND enotify.may_send(n.id, $1, $2));
END $$;

COMMENT ON FUNCTION enotify.may_take_turn IS
    'whether the guard lets a batch of the client take the turn: the pool has an address, and the guard has found for '
    'every active address of it at live nodes that it may send for the client, and a node can. A batch that has begun '
    'goes on as long as any node may send it: a node that joined since and may not gets none of it';

GRANT EXECUTE ON FUNCTION enotify.may_take_turn TO enotify_sender;
