CREATE OR REPLACE FUNCTION enotify.spend_egress(
    addresses inet[], sites text[], counts int[], days date[], caps int[], every interval[], bursts int[]
) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO enotify.egress_day (address, site, day)
    SELECT w.address, w.site, w.day FROM unnest(addresses, sites, days) w (address, site, day)
    WHERE w.day IS NOT NULL ORDER BY 1, 2, 3 ON CONFLICT DO NOTHING;
    INSERT INTO enotify.egress_rate (address, site, paid_until)
    SELECT w.address, w.site, clock_timestamp() FROM unnest(addresses, sites, every) w (address, site, every)
    WHERE w.every IS NOT NULL ORDER BY 1, 2 ON CONFLICT DO NOTHING;
    -- In this order for all nodes, so that none waits for another that waits for it.
    PERFORM FROM enotify.egress_day d JOIN unnest(addresses, sites, days) w (address, site, day)
                 ON d.address = w.address AND d.site = w.site AND d.day = w.day
    ORDER BY d.address, d.site, d.day FOR UPDATE OF d;
    PERFORM FROM enotify.egress_rate r JOIN unnest(addresses, sites, every) w (address, site, every)
                 ON r.address = w.address AND r.site = w.site AND w.every IS NOT NULL
    ORDER BY r.address, r.site FOR UPDATE OF r;
    IF EXISTS (
        SELECT FROM unnest(addresses, sites, counts, days, caps) w (address, site, n, day, cap)
        JOIN enotify.egress_day d ON d.address = w.address AND d.site = w.site AND d.day = w.day
        WHERE d.begun + w.n > w.cap)
    OR EXISTS (
        SELECT FROM unnest(addresses, sites, counts, every, bursts) w (address, site, n, every, burst)
        JOIN enotify.egress_rate r ON r.address = w.address AND r.site = w.site AND w.every IS NOT NULL
        WHERE greatest(r.paid_until, clock_timestamp()) + w.n * w.every > clock_timestamp() + w.burst * w.every)
    THEN
        RETURN false;
    END IF;
    UPDATE enotify.egress_day d SET begun = d.begun + w.n
    FROM unnest(addresses, sites, counts, days) w (address, site, n, day)
    WHERE d.address = w.address AND d.site = w.site AND d.day = w.day;
    UPDATE enotify.egress_rate r SET paid_until = greatest(r.paid_until, clock_timestamp()) + w.n * w.every
    FROM unnest(addresses, sites, counts, every) w (address, site, n, every)
    WHERE r.address = w.address AND r.site = w.site AND w.every IS NOT NULL;
    RETURN true;
END $$;

COMMENT ON FUNCTION enotify.spend_egress IS
    'counts messages that are about to begin against the caps of a day and the rates of egress addresses: all of them, '
    'or none where one cap or rate has no room. A row has a day and perhaps a cap, or the time that a rate gives one '
    'message and how many it lets leave at once; each address and site has at most one row of either';

GRANT EXECUTE ON FUNCTION enotify.spend_egress TO enotify_sender;
