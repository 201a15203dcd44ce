-- The share lock on the batch makes submit_batch wait for a COPY under way, and a later COPY fail.
CREATE OR REPLACE FUNCTION enotify.recipients_staged() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    named  bigint[] := ARRAY(SELECT DISTINCT batch_id FROM added);
    mine   bigint[] := ARRAY(
        SELECT id FROM enotify.batch WHERE id = ANY (named) AND client_id = ANY (enotify.my_clients())
        ORDER BY id FOR SHARE);
    bad    bigint;
BEGIN
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
    RETURN NULL;
END $$;

COMMENT ON FUNCTION enotify.recipients_staged IS 'lets a login stage rows only for drafts of its own clients';

CREATE OR REPLACE TRIGGER staged AFTER INSERT ON enotify.recipient_in REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION enotify.recipients_staged();
