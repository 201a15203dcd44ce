-- Rows that submit_batch deletes leave their room in the table and its index. TRUNCATE gives all of it back. It needs
-- the table for itself, and does not wait for that: whoever waits makes the applications wait that stage rows.
CREATE OR REPLACE FUNCTION enotify.empty_staging(at_least bigint DEFAULT 16777216) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE room bigint := pg_total_relation_size('enotify.recipient_in');
BEGIN
    IF room < at_least OR EXISTS (SELECT FROM enotify.recipient_in) THEN
        RETURN 0;
    END IF;
    BEGIN
        LOCK TABLE enotify.recipient_in IN ACCESS EXCLUSIVE MODE NOWAIT;
    EXCEPTION WHEN lock_not_available THEN
        RETURN 0;
    END;
    IF EXISTS (SELECT FROM enotify.recipient_in) THEN -- committed since
        RETURN 0;
    END IF;
    TRUNCATE enotify.recipient_in;
    RETURN room;
END $$;

COMMENT ON FUNCTION enotify.empty_staging IS
    'gives the disk back that recipient_in takes, where that is so many octets at least, no row is staged and no '
    'transaction uses the table. Returns the octets given back; 0: none, to be tried again later. Nodes call it';

GRANT EXECUTE ON FUNCTION enotify.empty_staging TO enotify_sender;
