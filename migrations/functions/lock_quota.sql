-- The next statement reads what the transactions before it have counted. The row is that of the month, so that two
-- nodes whose transactions began on different days of it wait for each other too.
CREATE OR REPLACE FUNCTION enotify.lock_quota(batch bigint) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    client int;
    month  date;
BEGIN
    SELECT c.id, date_trunc('month', now() AT TIME ZONE c.zone)::date INTO client, month
    FROM enotify.batch b JOIN enotify.client c ON c.id = b.client_id WHERE b.id = $1;
    PERFORM FROM enotify.client_sent s WHERE s.client_id = client AND s.day = month FOR UPDATE;
    IF NOT FOUND THEN
        INSERT INTO enotify.client_sent AS s (client_id, day, n) VALUES (client, month, 0)
        ON CONFLICT (client_id, day) DO UPDATE SET n = s.n;
    END IF;
END $$;

COMMENT ON FUNCTION enotify.lock_quota IS
    'lets one transaction at a time count messages of the client of a batch';

GRANT EXECUTE ON FUNCTION enotify.lock_quota TO enotify_sender;
