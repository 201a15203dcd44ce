-- By way of the domain: the batches that sent to a domain within a week are few.
CREATE OR REPLACE FUNCTION enotify.latest_to(address text, since interval) RETURNS TABLE (batch_id bigint, seq int)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT r.batch_id, r.seq
    FROM enotify.domain k
    JOIN enotify.batch_domain p ON p.domain_id = k.id
    JOIN enotify.batch b ON b.id = p.batch_id AND b.started_at > now() - latest_to.since
    CROSS JOIN LATERAL (
        SELECT x.batch_id, x.seq FROM enotify.recipient x
        WHERE x.batch_id = p.batch_id AND x.seq BETWEEN p.first_seq AND p.intent_seq
          AND lower(x.address) = lower(latest_to.address)
    ) r
    JOIN enotify.outcome o ON o.batch_id = r.batch_id AND o.seq = r.seq
                          AND o.state IN ('delivered', 'unknown', 'bounced', 'expired')
    WHERE k.name = split_part(lower(latest_to.address), '@', -1)
    ORDER BY o.at DESC LIMIT 1
$$;

COMMENT ON FUNCTION enotify.latest_to IS 'batch and recipient number of the last message sent to an address';

GRANT EXECUTE ON FUNCTION enotify.latest_to TO enotify_sender;
