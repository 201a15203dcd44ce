-- after: sealing
--
-- Seals a draft: what follows checks each staged row once, and writes recipients that never change afterwards. Many
-- checked rows are kept in a temporary table, few in arrays: to make a table takes longer than all else for a few.
-- Without JIT: to compile these statements takes longer than the compiled ones save. Without merge joins: a million
-- names take longer to sort than to hash, and the planner does not know how few they are.
CREATE OR REPLACE FUNCTION enotify.submit_batch(batch bigint, expected int DEFAULT NULL) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET work_mem = '256MB' SET jit = off
SET enable_mergejoin = off AS $$
DECLARE
    b        enotify.batch := enotify.my_draft(batch);
    n_staged int;
    n_listed int; -- suppressions for the client, and for all
    n_total  int;
    n_send   int;
    patience text := current_setting('lock_timeout');
    scans    text := current_setting('enable_seqscan');
    source   text := 'unnest($2, $3, $4, $5) WITH ORDINALITY s (problem, address, data, suppressed, place)';
    problems text[];
    given    text[];
    merged   jsonb[];
    stopped  boolean[];
    names    text[]; -- of the domains
    ids      int[];
    grps     smallint[];
    counts   int[];  -- of sendable recipients
BEGIN
    IF b.state <> 'draft' THEN
        IF b.state = 'cancelled' THEN
            RAISE EXCEPTION 'batch % is cancelled', b.id USING ERRCODE = 'object_not_in_prerequisite_state';
        END IF;
        IF expected IS NOT NULL AND expected <> b.staged THEN
            RAISE EXCEPTION 'batch % was submitted with % recipients, not %', b.id, b.staged, expected
                USING ERRCODE = 'check_violation';
        END IF;
        RETURN b.total;
    END IF;
    SELECT count(*) INTO n_staged FROM enotify.recipient_in r WHERE r.batch_id = b.id;
    IF expected IS NOT NULL AND expected <> n_staged THEN
        RAISE EXCEPTION 'batch % has % staged recipients, expected %', b.id, n_staged, expected
            USING ERRCODE = 'check_violation',
                  HINT = 'nothing was submitted; stage the missing ones, or cancel the batch and begin again';
    END IF;
    IF n_staged > 5000000 THEN
        RAISE EXCEPTION 'batch % has % staged recipients, where 5000000 are allowed', b.id, n_staged
            USING ERRCODE = 'configuration_limit_exceeded', HINT = 'cancel it and send several batches';
    END IF;
    IF n_staged = 0 THEN
        RAISE EXCEPTION 'batch % is empty', b.id
            USING ERRCODE = 'check_violation',
                  HINT = 'stage recipients first: COPY enotify.recipient_in (batch_id, address, data), or '
                         'add_recipients()';
    END IF;
    IF b.body_text = '' AND b.body_html = '' THEN
        RAISE EXCEPTION 'batch % has neither a text nor an HTML body', b.id
            USING ERRCODE = 'check_violation', HINT = 'cancel it and create it with body_text or body_html';
    END IF;

    IF n_staged > 1000 THEN
        source := 'pg_temp.seal s';
        CREATE TEMP TABLE seal ON COMMIT DROP AS SELECT s.*, false AS suppressed FROM enotify.sealing(b.id) s;
        ANALYZE pg_temp.seal (place); -- without statistics the planner sorts where it could hash
        IF (SELECT count(DISTINCT hashtextextended(coalesce(s.key, lower(s.address COLLATE "C")), 0)) < count(*)
            FROM pg_temp.seal s) THEN -- few octets: the whole rows take three times as long to sort
            DELETE FROM pg_temp.seal s USING (
                SELECT r.place, row_number() OVER (PARTITION BY hashtextextended(r.key, 0), r.key ORDER BY r.place) AS n
                FROM (SELECT k.place, coalesce(k.key, lower(k.address COLLATE "C")) AS key FROM pg_temp.seal k) r) d
            WHERE d.n > 1 AND s.place = d.place;
        END IF;
        -- By the list of the client and the one for all, or by each recipient, whichever are fewer: what other clients
        -- suppress is not read. The planner is told, since it may know an older state of the table.
        PERFORM set_config('enable_seqscan', 'off', true);
        EXECUTE 'SELECT (SELECT count(*) FROM (SELECT FROM enotify.suppression WHERE client_id = $1 LIMIT $2) o)
                      + (SELECT count(*) FROM (SELECT FROM enotify.suppression WHERE client_id IS NULL LIMIT $2) a)'
        INTO n_listed USING b.client_id, n_staged;
        IF n_listed BETWEEN 1 AND n_staged THEN -- apart from the recipients: a join without scans is none for many rows
            EXECUTE 'CREATE TEMP TABLE seal_listed ON COMMIT DROP AS
                     SELECT address FROM enotify.suppression
                     WHERE client_id = $1 AND (until IS NULL OR until > now())
                     UNION ALL
                     SELECT address FROM enotify.suppression
                     WHERE client_id IS NULL AND (until IS NULL OR until > now())'
            USING b.client_id;
            PERFORM set_config('enable_seqscan', scans, true);
            UPDATE pg_temp.seal s SET suppressed = true FROM pg_temp.seal_listed x
            WHERE s.problem IS NULL AND x.address = lower(s.address);
            DROP TABLE pg_temp.seal_listed;
        ELSIF n_listed > 0 THEN
            EXECUTE 'UPDATE pg_temp.seal s SET suppressed = true
                     WHERE s.problem IS NULL AND (
                         SELECT true FROM enotify.suppression x
                         WHERE x.address = lower(s.address) AND (x.client_id IS NULL OR x.client_id = $1)
                           AND (x.until IS NULL OR x.until > now()) LIMIT 1)'
            USING b.client_id;
        END IF;
        IF n_listed > 0 AND EXISTS (SELECT FROM enotify.hash_key) THEN
            EXECUTE 'UPDATE pg_temp.seal s SET suppressed = true
                     WHERE s.problem IS NULL AND NOT s.suppressed AND (
                         SELECT true FROM enotify.suppression x
                         WHERE x.address = enotify.hashed_address(lower(s.address))
                           AND (x.client_id IS NULL OR x.client_id = $1)
                           AND (x.until IS NULL OR x.until > now()) LIMIT 1)'
            USING b.client_id;
        END IF;
        PERFORM set_config('enable_seqscan', scans, true);
    ELSE
        SELECT array_agg(s.problem ORDER BY s.place), array_agg(s.address ORDER BY s.place),
               array_agg(s.data ORDER BY s.place),
               array_agg(s.problem IS NULL AND EXISTS (SELECT FROM enotify.suppressed(s.address, b.client_id))
                         ORDER BY s.place)
        INTO problems, given, merged, stopped
        FROM (SELECT DISTINCT ON (coalesce(s.key, lower(s.address COLLATE "C"))) s.* FROM enotify.sealing(b.id) s
              ORDER BY coalesce(s.key, lower(s.address COLLATE "C")), s.place) s;
    END IF;
    EXECUTE format($sql$
        SELECT array_agg(d.name), array_agg(d.n)
        FROM (SELECT enotify.mailbox_domain(s.address) AS name, count(*) FILTER (WHERE NOT s.suppressed)::int AS n
              FROM %1$s WHERE s.problem IS NULL GROUP BY 1) d$sql$, source)
    INTO names, counts USING b.id, problems, given, merged, stopped;

    -- New domains get their number and lease group. In order, so that two seals cannot deadlock.
    -- A session that has inserted one and does not commit is not waited for: then this batch has rows of its own.
    BEGIN
        PERFORM set_config('lock_timeout', '10ms', true);
        INSERT INTO enotify.domain (name, grp)
        SELECT d, (hashtextextended(d, 0) & 63)::smallint FROM unnest(names) d
        WHERE NOT EXISTS (SELECT FROM enotify.domain k WHERE k.name = d AND k.twin = 0)
        ORDER BY d
        ON CONFLICT (name, twin) DO NOTHING;
    EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
        INSERT INTO enotify.domain (name, grp, twin, site_id, surveyed_at, surveyed_until)
        SELECT d, coalesce(o.grp, (hashtextextended(d, 0) & 63)::smallint), b.id, o.site_id, o.surveyed_at,
               o.surveyed_until
        FROM unnest(names) d LEFT JOIN LATERAL ( -- what is known from the rows of other batches
            SELECT k.grp, k.site_id, k.surveyed_at, k.surveyed_until FROM enotify.domain k
            WHERE k.name = d AND k.no_mail IS NULL ORDER BY k.surveyed_at DESC NULLS LAST LIMIT 1) o ON true
        WHERE NOT EXISTS (SELECT FROM enotify.domain k WHERE k.name = d AND k.twin = 0);
    END;
    PERFORM set_config('lock_timeout', patience, true);

    SELECT array_agg(d.name), array_agg(d.id), array_agg(d.grp), array_agg(u.n) INTO names, ids, grps, counts
    FROM unnest(names, counts) u (name, n) CROSS JOIN LATERAL ( -- by name: after many new ones the planner reads all
        SELECT k.name, k.id, k.grp FROM enotify.domain k WHERE k.name = u.name AND k.twin IN (0, b.id)
        ORDER BY k.name, k.twin LIMIT 1) d;

    -- Number the recipients: the sendable ones in domain order, then the suppressed, then the invalid. The order is one
    -- number: three columns take twice as long to sort. A place has 23 bits, since there are at most 5,000,000.
    EXECUTE format($sql$
        INSERT INTO enotify.recipient (batch_id, seq, domain_id, address, data)
        SELECT $1, row_number() OVER (ORDER BY
                   CASE WHEN s.problem IS NOT NULL THEN 2::bigint << 54 WHEN s.suppressed THEN 1::bigint << 54
                        ELSE 0 END + (coalesce(d.id, 0)::bigint << 23) + s.place), d.id, s.address, s.data
        FROM %1$s LEFT JOIN unnest($6, $7) d (name, id)
               ON s.problem IS NULL AND d.name = enotify.mailbox_domain(s.address)$sql$, source)
    USING b.id, problems, given, merged, stopped, names, ids;
    GET DIAGNOSTICS n_total = ROW_COUNT;

    SELECT coalesce(sum(c), 0) INTO n_send FROM unnest(counts) c;
    INSERT INTO enotify.batch_domain (batch_id, domain_id, first_seq, last_seq, intent_seq, grp)
    SELECT b.id, d.id, d.upto - d.n + 1, d.upto, d.upto - d.n, d.grp
    FROM (SELECT u.*, sum(u.n) OVER (ORDER BY u.id) AS upto FROM unnest(ids, counts, grps) u (id, n, grp)) d
    WHERE d.n > 0;

    INSERT INTO enotify.outcome (batch_id, seq, state, reply)
    SELECT b.id, r.seq, 'invalid',
           coalesce(enotify.mailbox_problem(enotify.mailbox(r.address)), 'data is not a JSON object')
    FROM enotify.recipient r WHERE r.batch_id = b.id AND r.seq > n_send AND r.domain_id IS NULL;

    -- Somebody may have removed the suppression meanwhile: the recipient was numbered as a suppressed one.
    INSERT INTO enotify.outcome (batch_id, seq, state, class, reply)
    SELECT b.id, r.seq, 'suppressed', s.class, coalesce(s.reply, 'suppressed when the batch was submitted')
    FROM enotify.recipient r LEFT JOIN LATERAL enotify.suppressed(r.address, b.client_id) s ON true
    WHERE r.batch_id = b.id AND r.seq > n_send AND r.domain_id IS NOT NULL;

    PERFORM enotify.check_quota(b.id, n_total, n_send);
    IF n_staged > 1000 THEN
        DROP TABLE pg_temp.seal; -- the transaction may submit another batch
    END IF;
    DELETE FROM enotify.recipient_in r WHERE r.batch_id = b.id;
    DELETE FROM enotify.staged_size s WHERE s.batch_id = b.id;
    UPDATE enotify.batch x
    SET state = 'queued', submitted_at = now(), staged = n_staged, duplicates = n_staged - n_total,
        total = n_total, sendable = n_send,
        expires_at = coalesce((SELECT greatest(now(), x.not_before) + r.lasts FROM enotify.ready_draft r
                               WHERE r.batch_id = x.id), x.expires_at)
    WHERE x.id = b.id;
    DELETE FROM enotify.ready_draft r WHERE r.batch_id = b.id;
    RETURN n_total;
END $$;

COMMENT ON FUNCTION enotify.submit_batch IS
    'submits a draft: checks and normalises addresses, drops repeated ones, applies suppression, numbers recipients '
    'by domain, queues the batch. Returns the number of recipients; a second call returns the same number';

GRANT EXECUTE ON FUNCTION enotify.submit_batch TO enotify_app, enotify_admin;
