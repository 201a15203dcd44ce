-- Who it was comes with the connection, as its application_name: that costs no statement, and poolers pass it on. A
-- login that runs no node cannot claim to be one.
CREATE OR REPLACE FUNCTION enotify.note_batch(
    batch bigint, was enotify.batch_state, becomes enotify.batch_state, reason text
) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    at_work text := current_setting('application_name');
    sends   boolean := pg_has_role(session_user, 'enotify_sender', 'MEMBER')
                    OR pg_has_role(session_user, current_user, 'MEMBER'); -- the owner of the schema
BEGIN
    INSERT INTO enotify.batch_log (batch_id, from_state, to_state, reason, by, person, node)
    VALUES (note_batch.batch, was, becomes, note_batch.reason, enotify.my_login(),
            CASE WHEN starts_with(at_work, 'enotify by ') THEN substr(at_work, 12) ELSE '' END,
            CASE WHEN sends AND starts_with(at_work, 'enotify node ') THEN substr(at_work, 14) ELSE '' END);
END $$;

COMMENT ON FUNCTION enotify.note_batch IS
    'writes a line of batch_log, with the person or node whose connection it is';
