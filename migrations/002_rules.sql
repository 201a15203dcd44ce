-- What must hold whoever writes: who may use which client, how a batch moves, how outcomes are counted, who may stage.
-- Functions that applications reach are SECURITY DEFINER with a fixed search_path; identity is session_user.

-- Who may do what.

CREATE FUNCTION enotify.my_clients() RETURNS int[]
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce(array_agg(c.id), '{}')
    FROM enotify.client c
    WHERE pg_has_role(session_user, 'enotify_admin', 'MEMBER')
       OR pg_has_role(session_user, 'enotify_sender', 'MEMBER')
       OR EXISTS (SELECT FROM enotify.client_login l WHERE l.client_id = c.id AND l.login = session_user)
       OR NOT EXISTS (SELECT FROM enotify.client_login l WHERE l.client_id = c.id OR l.login = session_user)
$$;
COMMENT ON FUNCTION enotify.my_clients() IS
    'clients that this login may send for and see: admins all; a login tied to clients those alone; a login tied to none those that are tied to nobody';

-- The ways of a batch.

CREATE FUNCTION enotify.batch_moves() RETURNS TABLE (from_state enotify.batch_state, to_state enotify.batch_state)
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    VALUES ('draft'::enotify.batch_state, 'queued'::enotify.batch_state), ('draft', 'cancelled'),
           ('queued', 'sending'), ('queued', 'paused'), ('queued', 'blocked'), ('queued', 'cancelled'), ('queued', 'done'),
           ('sending', 'queued'), ('sending', 'retrying'), ('sending', 'done'), ('sending', 'paused'), ('sending', 'blocked'), ('sending', 'cancelled'),
           ('retrying', 'done'), ('retrying', 'paused'), ('retrying', 'blocked'), ('retrying', 'cancelled'), ('retrying', 'queued'),
           ('paused', 'queued'), ('paused', 'cancelled'), ('paused', 'done'),
           ('blocked', 'queued'), ('blocked', 'paused'), ('blocked', 'cancelled'), ('blocked', 'done'),
           ('done', 'queued')
$$;
COMMENT ON FUNCTION enotify.batch_moves() IS 'every way a batch may go: done from anywhere only when all have an outcome or it expired; done to queued only by a requeue';

CREATE FUNCTION enotify.batch_moved() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE was enotify.batch_state;
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF NEW.state = OLD.state THEN
            RETURN NULL;
        END IF;
        was := OLD.state;
        IF NOT EXISTS (SELECT FROM enotify.batch_moves() m WHERE m.from_state = OLD.state AND m.to_state = NEW.state) THEN
            RAISE EXCEPTION 'batch % is %; it cannot become %', NEW.id, OLD.state, NEW.state USING ERRCODE = 'object_not_in_prerequisite_state';
        END IF;
    END IF;
    INSERT INTO enotify.batch_log (batch_id, from_state, to_state, reason) VALUES (NEW.id, was, NEW.state, NEW.reason);
    IF NEW.state <> 'draft' THEN
        PERFORM pg_notify('enotify', format('batch %s %s', NEW.id, NEW.state));
    END IF;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION enotify.batch_moved() IS 'refuses a move that is not in batch_moves(), logs the others and wakes the nodes';
CREATE TRIGGER moved AFTER INSERT OR UPDATE OF state ON enotify.batch
    FOR EACH ROW EXECUTE FUNCTION enotify.batch_moved();

-- Counting outcomes. The order of the upsert is the same in every transaction, so that two cannot deadlock.

CREATE FUNCTION enotify.outcome_counted() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO enotify.batch_count AS c (batch_id, state, shard, n)
        SELECT batch_id, state, pg_backend_pid() % 32, count(*) FROM added GROUP BY 1, 2 ORDER BY 1, 2
        ON CONFLICT (batch_id, state, shard) DO UPDATE SET n = c.n + excluded.n;
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO enotify.batch_count AS c (batch_id, state, shard, n)
        SELECT batch_id, state, pg_backend_pid() % 32, -count(*) FROM gone GROUP BY 1, 2 ORDER BY 1, 2
        ON CONFLICT (batch_id, state, shard) DO UPDATE SET n = c.n + excluded.n;
    ELSE
        INSERT INTO enotify.batch_count AS c (batch_id, state, shard, n)
        SELECT batch_id, state, pg_backend_pid() % 32, sum(n)
        FROM (SELECT batch_id, state, 1 AS n FROM added UNION ALL SELECT batch_id, state, -1 FROM gone) d
        GROUP BY 1, 2 HAVING sum(n) <> 0 ORDER BY 1, 2
        ON CONFLICT (batch_id, state, shard) DO UPDATE SET n = c.n + excluded.n;
    END IF;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION enotify.outcome_counted() IS 'keeps batch_count exact, whoever writes outcomes';
CREATE TRIGGER counted_insert AFTER INSERT ON enotify.outcome REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION enotify.outcome_counted();
CREATE TRIGGER counted_update AFTER UPDATE ON enotify.outcome REFERENCING OLD TABLE AS gone NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION enotify.outcome_counted();
CREATE TRIGGER counted_delete AFTER DELETE ON enotify.outcome REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION enotify.outcome_counted();

-- Staging. A share lock on the batch makes submit_batch wait for a COPY under way, and a later COPY fail.

CREATE FUNCTION enotify.recipients_staged() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    named  bigint[] := ARRAY(SELECT DISTINCT batch_id FROM added);
    mine   bigint[] := ARRAY(SELECT id FROM enotify.batch WHERE id = ANY (named) AND client_id = ANY (enotify.my_clients()) ORDER BY id FOR SHARE);
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
COMMENT ON FUNCTION enotify.recipients_staged() IS 'lets a login stage rows for drafts of its own clients alone';
CREATE TRIGGER staged AFTER INSERT ON enotify.recipient_in REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION enotify.recipients_staged();

-- Settings that a running sender must hear of at once.

CREATE FUNCTION enotify.setting_changed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM pg_notify('enotify', TG_TABLE_NAME);
    RETURN NULL;
END $$;
COMMENT ON FUNCTION enotify.setting_changed() IS 'wakes the nodes after a change of policy';
CREATE TRIGGER changed AFTER INSERT OR UPDATE OR DELETE ON enotify.destination
    FOR EACH STATEMENT EXECUTE FUNCTION enotify.setting_changed();
