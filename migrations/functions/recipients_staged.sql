-- after: note_staged
--
-- The share lock on the batch makes submit_batch wait for a COPY under way, and a later COPY fail. The size of the data
-- is looked at here and not in a CHECK: COPY would tell the application the name of that constraint.
CREATE OR REPLACE FUNCTION enotify.recipients_staged() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    named  bigint[];
    counts bigint[];
    sizes  bigint[];
    widest int; -- octets of data
    mine   bigint[];
    bad    bigint;
    large  record;
BEGIN
    SELECT array_agg(s.batch_id), array_agg(s.n), array_agg(s.octets), max(s.widest)
    INTO named, counts, sizes, widest
    FROM (SELECT a.batch_id, count(*) AS n, max(pg_column_size(a.data)) AS widest,
                 coalesce(sum(octet_length(a.address)), 0) + coalesce(sum(pg_column_size(a.data)), 0) AS octets
          FROM added a GROUP BY a.batch_id) s;
    IF named IS NULL THEN
        RETURN NULL; -- no row
    END IF;
    mine := ARRAY(
        SELECT id FROM enotify.batch WHERE id = ANY (named) AND client_id = ANY (enotify.my_clients())
        ORDER BY id FOR SHARE);
    SELECT min(s) INTO bad FROM unnest(named) s WHERE s <> ALL (mine);
    IF bad IS NOT NULL THEN
        RAISE EXCEPTION 'no batch % of yours', bad
            USING ERRCODE = 'foreign_key_violation', HINT = 'create_batch() gives the number of a new batch';
    END IF;
    SELECT min(id) INTO bad FROM enotify.batch WHERE id = ANY (mine) AND state <> 'draft';
    IF bad IS NOT NULL THEN
        RAISE EXCEPTION 'batch % is submitted; it takes no more recipients', bad
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'put them into a new batch';
    END IF;
    IF widest > 65536 THEN
        SELECT left(coalesce(a.address, ''), 254) AS address, pg_column_size(a.data) AS octets INTO large
        FROM added a WHERE pg_column_size(a.data) > 65536 LIMIT 1;
        RAISE EXCEPTION 'the data of recipient % has % octets, where 65536 are allowed',
            quote_literal(large.address), large.octets
            USING ERRCODE = 'check_violation', HINT = 'what is the same for all belongs in the body of the batch';
    END IF;
    PERFORM enotify.note_staged(named, counts, sizes);
    RETURN NULL;
END $$;

COMMENT ON FUNCTION enotify.recipients_staged IS
    'lets a login stage rows only for drafts of its own clients, with data of at most 64 KiB, and no more than its '
    'drafts may have, see note_staged()';

CREATE OR REPLACE TRIGGER staged AFTER INSERT ON enotify.recipient_in REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION enotify.recipients_staged();
