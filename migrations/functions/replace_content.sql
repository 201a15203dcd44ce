CREATE OR REPLACE FUNCTION enotify.replace_content(
    batch bigint, subject text DEFAULT NULL, body_text text DEFAULT NULL, body_html text DEFAULT NULL,
    filenames text[] DEFAULT NULL
) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    b       enotify.batch;
    new_subject text;
    new_text    text;
    new_html    text;
    problem text;
    files   int;
BEGIN
    -- Nothing is locked that is being sent, and for the rest the engine does not wait: it passes over the batch.
    SELECT * INTO b FROM enotify.batch x
    WHERE x.id = replace_content.batch AND x.state IN ('draft', 'queued', 'paused', 'blocked')
      AND x.client_id = ANY (enotify.my_clients()) FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        SELECT * INTO b FROM enotify.batch x
        WHERE x.id = replace_content.batch AND x.client_id = ANY (enotify.my_clients());
    END IF;
    IF b.id IS NULL THEN
        RAISE EXCEPTION 'no batch % of yours', coalesce(batch::text, 'NULL') USING ERRCODE = 'no_data_found';
    END IF;
    new_subject := coalesce(replace_content.subject, b.subject);
    new_text := coalesce(replace_content.body_text, b.body_text);
    new_html := coalesce(replace_content.body_html, b.body_html);
    problem := enotify.content_problem(new_subject, new_text, new_html);
    IF b.state NOT IN ('draft', 'queued', 'paused', 'blocked', 'done') OR b.pruned_at IS NOT NULL THEN
        RAISE EXCEPTION 'batch % is %; its content stays as it is', b.id, b.state
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = CASE WHEN b.state IN ('sending', 'draining', 'retrying')
                              THEN format('pause it first: enotify batch pause %s', b.id)
                              ELSE 'send a new batch' END;
    END IF;
    IF new_text = '' AND new_html = '' THEN
        problem := 'the batch would have neither a text nor an HTML body';
    END IF;
    SELECT count(*) INTO files FROM enotify.attachment a WHERE a.batch_id = b.id;
    IF filenames IS NOT NULL AND cardinality(filenames) <> files THEN
        problem := format('%s file names for %s attachments', cardinality(filenames), files);
    END IF;
    IF problem IS NOT NULL THEN
        RAISE EXCEPTION '%', problem USING ERRCODE = 'check_violation';
    END IF;
    UPDATE enotify.attachment a SET filename = f.name
    FROM unnest(filenames) WITH ORDINALITY f (name, n) WHERE a.batch_id = b.id AND a.n = f.n;
    -- A node checks the content again before the batch takes the turn.
    UPDATE enotify.batch x
    SET subject = new_subject, body_text = new_text, body_html = new_html, edits = x.edits + 1, fault = '',
        surveyed_at = NULL,
        state = CASE WHEN b.state = 'blocked' AND b.fault <> '' THEN 'queued' ELSE x.state END,
        reason = CASE WHEN b.state = 'blocked' AND b.fault <> '' THEN '' ELSE x.reason END
    WHERE x.id = b.id;
    IF b.state <> 'draft' THEN
        INSERT INTO enotify.batch_log (batch_id, from_state, to_state, reason)
        SELECT x.id, x.state, x.state, 'content replaced' FROM enotify.batch x WHERE x.id = b.id;
    END IF;
END $$;

COMMENT ON FUNCTION enotify.replace_content IS
    'replaces the subject, the bodies or the names of the attachments of a batch for all recipients that have not been '
    'tried; NULL keeps, an empty body removes. A batch blocked for its content goes back into the queue. A batch that '
    'is being sent must be paused first. Of one that is done, those get it that are requeued';

GRANT EXECUTE ON FUNCTION enotify.replace_content TO enotify_app, enotify_admin;
