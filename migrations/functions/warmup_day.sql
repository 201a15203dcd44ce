CREATE OR REPLACE VIEW enotify.warmup_day AS
SELECT d.address, d.site, d.day, d.begun, d.accepted, d.refused, d.complaints,
       CASE WHEN d.site = '*' THEN (
           SELECT sum(x.accepted)::int FROM enotify.egress_day x JOIN enotify.egress o ON o.address = x.address
           WHERE o.pool = e.pool AND x.site = '*' AND x.day = d.day) ELSE d.accepted END AS pool_accepted
FROM enotify.egress_day d JOIN enotify.egress e ON e.address = d.address;

COMMENT ON VIEW enotify.warmup_day IS
    'egress_day with what receivers took from all addresses of the pool: nobody knows from which of them the mail of a '
    'complaint left, so complaints are a share of that';

GRANT SELECT ON enotify.warmup_day TO enotify_admin, enotify_sender;
