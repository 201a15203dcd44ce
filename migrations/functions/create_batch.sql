CREATE OR REPLACE FUNCTION enotify.create_batch(
    idem_key text, from_address text, subject text,
    body_text text DEFAULT NULL, body_html text DEFAULT NULL, from_name text DEFAULT NULL, reply_to text DEFAULT NULL,
    priority int DEFAULT 0, not_before timestamptz DEFAULT NULL, expires_at timestamptz DEFAULT NULL,
    on_unknown text DEFAULT 'hold', list_unsubscribe text DEFAULT NULL, headers jsonb DEFAULT NULL,
    lang text DEFAULT NULL, pool text DEFAULT NULL, send_window text DEFAULT NULL
) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
    sender  text := enotify.mailbox(from_address);
    problem text := enotify.mailbox_problem(sender);
    client  int;
    highest int;
    login   name := enotify.my_login();
    operator boolean := pg_has_role(login, 'enotify_admin', 'MEMBER')
                     OR pg_has_role(login, current_user, 'MEMBER'); -- the owner of the schema
    hours   text; -- of the client
    urgent  int;
    own     text;
    starts  timestamptz := greatest(now(), not_before);
    opens   timestamptz;
    ends    timestamptz;
    made    enotify.batch;
BEGIN
    IF problem IS NOT NULL THEN
        RAISE EXCEPTION 'from_address % is no mailbox: %', quote_nullable(from_address), problem
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    SELECT c.id, c.max_priority, c.send_window, c.urgent INTO client, highest, hours, urgent
    FROM enotify.client c
    WHERE c.domain = enotify.mailbox_domain(sender) AND c.id = ANY (enotify.my_clients());
    IF client IS NULL THEN
        SELECT string_agg(l.login::text, ', ' ORDER BY l.login) INTO problem
        FROM enotify.client c LEFT JOIN enotify.client_login l ON l.client_id = c.id
        WHERE c.domain = enotify.mailbox_domain(sender) HAVING count(*) > 0;
        IF FOUND THEN
            RAISE EXCEPTION '%', CASE WHEN problem IS NULL
                    THEN format('login %s sends for the clients that it is tied to, and %s is none of them',
                                login, enotify.mailbox_domain(sender))
                    ELSE format('client %s is tied to %s, and you are %s',
                                enotify.mailbox_domain(sender), problem, login) END
                USING ERRCODE = 'insufficient_privilege',
                      HINT = format('an operator ties you to it: enotify client add %s --role %s',
                                    enotify.mailbox_domain(sender), login);
        END IF;
        RAISE EXCEPTION 'domain % is not a registered client of yours', enotify.mailbox_domain(sender)
            USING ERRCODE = 'insufficient_privilege',
                  HINT = format('an operator registers it: enotify client add %s', enotify.mailbox_domain(sender));
    END IF;
    IF priority > highest AND NOT operator THEN
        RAISE EXCEPTION 'priority % is above %, the highest that client % may use', priority, highest,
            enotify.mailbox_domain(sender)
            USING ERRCODE = 'insufficient_privilege',
                  HINT = format('an operator raises it: enotify client set %s --max-priority %s',
                                enotify.mailbox_domain(sender), priority);
    END IF;
    IF NOT operator AND (SELECT count(*) FROM (
        SELECT FROM enotify.batch b WHERE b.state = 'draft' AND b.created_by = login
        AND b.idem_key <> create_batch.idem_key LIMIT 1000) d) = 1000
    THEN
        RAISE EXCEPTION 'login % has 1000 drafts, and may have no more', login
            USING ERRCODE = 'configuration_limit_exceeded', HINT = 'submit or cancel some; a draft ends after 7 days';
    END IF;
    problem := enotify.mailbox_problem(enotify.mailbox(nullif(reply_to, '')));
    IF nullif(reply_to, '') IS NOT NULL AND problem IS NOT NULL THEN
        RAISE EXCEPTION 'reply_to % is no mailbox: %', quote_nullable(reply_to), problem
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    problem := coalesce(enotify.time_problem('not_before', not_before),
                        enotify.time_problem('expires_at', expires_at));
    IF problem IS NOT NULL THEN
        RAISE EXCEPTION '%', problem USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF expires_at <= starts THEN
        RAISE EXCEPTION 'expires_at % is not after the start of the batch', expires_at
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    problem := enotify.pool_problem(pool, client, coalesce(priority, 0), operator);
    IF problem IS NOT NULL THEN
        RAISE EXCEPTION '%', problem USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF nullif(btrim(send_window), '') IS NOT NULL THEN
        SELECT w.spec, w.problem INTO own, problem FROM enotify.read_window(send_window) w;
        IF problem IS NOT NULL THEN
            RAISE EXCEPTION '%', problem USING ERRCODE = 'invalid_parameter_value';
        END IF;
    END IF;
    IF coalesce(priority, 0) < urgent AND (own IS NOT NULL OR hours IS NOT NULL) THEN
        opens := enotify.window_opening(ARRAY[own, hours], starts, coalesce(expires_at, 'infinity'));
        IF opens IS NULL THEN
            RAISE EXCEPTION 'window % does not open between % and %',
                concat_ws(' and that of the client, ', own, hours),
                to_char(starts AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI'),
                to_char(coalesce(expires_at, starts + interval '2 weeks') AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI UTC')
                USING ERRCODE = 'invalid_parameter_value', HINT = 'let the batch expire later, or give another window';
        END IF;
    END IF;
    ends := coalesce(expires_at, greatest(starts, opens) + interval '3 days');
    IF enotify.time_problem('expires_at', ends) IS NOT NULL THEN
        RAISE EXCEPTION 'the batch could begin only at %, too late to have three days; begin it earlier',
            greatest(starts, opens) USING ERRCODE = 'invalid_parameter_value';
    END IF;
    problem := coalesce(enotify.fields_problem(idem_key, from_name, list_unsubscribe, on_unknown, lang),
                        enotify.content_problem(subject, body_text, body_html),
                        enotify.headers_problem(coalesce(headers, '{}')));
    IF problem IS NOT NULL THEN
        RAISE EXCEPTION '%', problem USING ERRCODE = 'check_violation';
    END IF;
    INSERT INTO enotify.batch AS b
        (client_id, idem_key, from_address, subject, body_text, body_html, from_name, reply_to,
         priority, send_window, not_before, expires_at, on_unknown, list_unsubscribe, headers, lang, pool,
         created_by)
    VALUES
        (client, idem_key, sender, subject, coalesce(body_text, ''), coalesce(body_html, ''), coalesce(from_name, ''),
         coalesce(enotify.mailbox(reply_to), ''),
         coalesce(priority, 0), own, not_before, ends, coalesce(on_unknown, 'hold'), coalesce(list_unsubscribe, ''),
         coalesce(headers, '{}'), coalesce(lang, ''), pool, login)
    ON CONFLICT ON CONSTRAINT batch_client_id_idem_key_key DO NOTHING
    RETURNING b.* INTO made;
    IF made.id IS NULL THEN
        SELECT b.* INTO made FROM enotify.batch b WHERE b.client_id = client AND b.idem_key = idem_key;
        -- A pruned batch has lost its body: there is nothing to compare with.
        IF made.pruned_at IS NULL AND (made.subject, made.body_text, made.body_html)
           IS DISTINCT FROM (subject, coalesce(body_text, ''), coalesce(body_html, '')) THEN
            RAISE WARNING 'batch % already has the idem_key %; it keeps its own subject and body',
                made.id, quote_literal(idem_key)
                USING HINT = 'a new notification needs a new idem_key';
        END IF;
    END IF;
    RETURN made.id;
END $$;

COMMENT ON FUNCTION enotify.create_batch IS
    'creates a batch in state draft, or returns the batch that already has this idem_key. Call it with named '
    'arguments: create_batch(idem_key => …)';

GRANT EXECUTE ON FUNCTION enotify.create_batch TO enotify_app, enotify_admin;
