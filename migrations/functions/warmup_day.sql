-- A complaint comes days after its mail, perhaps on a day that sent nothing.
CREATE OR REPLACE VIEW enotify.warmup_day AS
SELECT d.address, d.site, d.day, d.begun, d.accepted, d.refused, d.complaints,
       (SELECT max(x.accepted) FROM enotify.egress_day x
        WHERE x.address = d.address AND x.site = d.site AND x.day BETWEEN d.day - 6 AND d.day) AS taken
FROM enotify.egress_day d;

COMMENT ON VIEW enotify.warmup_day IS
    'egress_day with the most messages that receivers took on one day, of that day and the six before it: complaints '
    'are a share of that';

GRANT SELECT ON enotify.warmup_day TO enotify_admin, enotify_sender;
