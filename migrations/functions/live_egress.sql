CREATE OR REPLACE VIEW enotify.live_egress AS
SELECT n.id AS node_id, a.address, coalesce(e.pool, 'default') AS pool, coalesce(e.state, 'active') AS state,
       coalesce(e.weight, 1) AS weight, coalesce(e.helo, n.helo) AS helo, e.bind,
       e.rate, e.rate_per, e.site_rate, e.site_rate_per
FROM enotify.node n CROSS JOIN unnest(n.egress) a (address) LEFT JOIN enotify.egress e ON e.address = a.address
WHERE n.live_until > now();

COMMENT ON VIEW enotify.live_egress IS 'the egress addresses that live nodes announce, a row for each node and address';

GRANT SELECT ON enotify.live_egress TO enotify_admin, enotify_sender;
