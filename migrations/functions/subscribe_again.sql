-- after: tell_event
CREATE OR REPLACE FUNCTION enotify.subscribe_again(batch bigint, seq int) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    who record;
BEGIN
    SELECT b.client_id, lower(r.address) AS address INTO who
    FROM enotify.recipient r JOIN enotify.batch b ON b.id = r.batch_id
    WHERE r.batch_id = subscribe_again.batch AND r.seq = subscribe_again.seq AND r.domain_id IS NOT NULL;
    UPDATE enotify.suppression s SET cause = 'operator', before = ''
    WHERE s.address = who.address AND s.client_id = who.client_id AND s.cause = 'unsubscribe'
      AND s.before = 'operator';
    DELETE FROM enotify.suppression s
    WHERE s.address = who.address AND s.client_id = who.client_id AND s.cause = 'unsubscribe';
    IF FOUND THEN
        PERFORM enotify.tell_event(who.client_id, subscribe_again.batch, 'resubscribed', subscribe_again.seq, '{}');
    END IF;
    RETURN NOT EXISTS (
        SELECT FROM enotify.suppression s
        WHERE s.address = who.address AND (s.client_id = who.client_id OR s.client_id IS NULL)
          AND (s.until IS NULL OR s.until > now()));
END $$;

COMMENT ON FUNCTION enotify.subscribe_again IS
    'undoes that the reader of a message unsubscribed, and returns whether the address gets mail of the client again: '
    'false where it is suppressed for another cause';

GRANT EXECUTE ON FUNCTION enotify.subscribe_again TO enotify_sender;
