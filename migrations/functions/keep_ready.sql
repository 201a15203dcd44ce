CREATE OR REPLACE FUNCTION enotify.keep_ready(batch bigint, keep boolean DEFAULT true) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    b     enotify.batch := enotify.my_draft(batch);
    login name := enotify.my_login();
BEGIN
    IF b.state <> 'draft' THEN
        RAISE EXCEPTION 'batch % is %; only a draft is kept ready', b.id, b.state
            USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    IF NOT keep THEN
        DELETE FROM enotify.ready_draft r WHERE r.batch_id = b.id;
        RETURN;
    END IF;
    -- Each is checked at night: a client has some of them, and an operator says if there are to be more.
    IF NOT pg_has_role(login, 'enotify_admin', 'MEMBER') AND NOT pg_has_role(login, current_user, 'MEMBER') AND (
        SELECT count(*) FROM enotify.ready_draft r JOIN enotify.batch o ON o.id = r.batch_id
        WHERE o.client_id = b.client_id AND o.id <> b.id) >= 20
    THEN
        RAISE EXCEPTION 'the client of batch % keeps 20 drafts ready, and may have no more', b.id
            USING ERRCODE = 'configuration_limit_exceeded', HINT = 'keep_ready(batch, false) ends that for one';
    END IF;
    INSERT INTO enotify.ready_draft (batch_id, lasts)
    VALUES (b.id, greatest(b.expires_at - greatest(b.created_at, b.not_before), interval '1 hour'))
    ON CONFLICT (batch_id) DO NOTHING;
    PERFORM pg_notify('enotify', 'ready');
END $$;

COMMENT ON FUNCTION enotify.keep_ready IS
    'keeps a draft until it is needed: it does not end after 7 days, nodes check each night and after changes whether '
    'it would go, and submit_batch counts the time until it expires from then on. With false it is a draft as others';

GRANT EXECUTE ON FUNCTION enotify.keep_ready TO enotify_app, enotify_admin;
