-- What applications call: create, stage, seal. A mailbox is checked here and nowhere else.

-- IDN (RFC 5891) to A-labels, by Punycode (RFC 3492). Only rows with a letter outside ASCII come here.

CREATE FUNCTION enotify.punycode(label text) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT SET search_path = pg_catalog, pg_temp AS $$
DECLARE -- the variables of RFC 3492 §6.3
    cps   int[] := ARRAY(SELECT ascii(c) FROM regexp_split_to_table(label, '') WITH ORDINALITY AS t(c, i) ORDER BY i);
    out   text  := '';
    n     int   := 128;
    delta bigint := 0;
    bias  int   := 72;
    h     int;  b int;  m int;  c int;  q bigint;  k int;  t int;  first boolean := true;
BEGIN
    FOREACH c IN ARRAY cps LOOP
        IF c < 128 THEN out := out || chr(c); END IF;
    END LOOP;
    b := length(out);
    h := b;
    IF b > 0 THEN out := out || '-'; END IF;
    WHILE h < cardinality(cps) LOOP
        SELECT min(x) INTO m FROM unnest(cps) x WHERE x >= n;
        delta := delta + (m - n)::bigint * (h + 1);
        n := m;
        FOREACH c IN ARRAY cps LOOP
            IF c < n THEN
                delta := delta + 1;
            ELSIF c = n THEN
                q := delta;
                k := 36;
                LOOP
                    t := least(greatest(k - bias, 1), 26);
                    EXIT WHEN q < t;
                    out := out || substr('abcdefghijklmnopqrstuvwxyz0123456789', (t + (q - t) % (36 - t))::int + 1, 1);
                    q := (q - t) / (36 - t);
                    k := k + 36;
                END LOOP;
                out := out || substr('abcdefghijklmnopqrstuvwxyz0123456789', q::int + 1, 1);
                h := h + 1;
                q := CASE WHEN first THEN delta / 700 ELSE delta / 2 END; -- adapt(), §6.1
                first := false;
                q := q + q / h;
                k := 0;
                WHILE q > 455 LOOP
                    q := q / 35;
                    k := k + 36;
                END LOOP;
                bias := k + (36 * q / (q + 38))::int;
                delta := 0;
            END IF;
        END LOOP;
        delta := delta + 1;
        n := n + 1;
    END LOOP;
    RETURN out;
END $$;
COMMENT ON FUNCTION enotify.punycode(text) IS 'Punycode of one label, RFC 3492 §6.3';

CREATE FUNCTION enotify.a_labels(domain text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT SET search_path = pg_catalog, pg_temp AS $$
    SELECT string_agg(CASE WHEN l ~ '^[\x01-\x7f]*$' THEN l ELSE 'xn--' || enotify.punycode(l) END, '.' ORDER BY i)
    FROM regexp_split_to_table(translate(normalize(lower(domain), NFC), U&'\3002\FF0E\FF61', '...'), '\.') WITH ORDINALITY AS t(l, i)
$$;
COMMENT ON FUNCTION enotify.a_labels(text) IS 'domain in lower case and A-labels; a trailing dot stays';

CREATE FUNCTION enotify.mailbox(address text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE
        WHEN address ~ '^[!-?A-~]+@[a-z0-9._-]+$' THEN address -- nothing to do, as nearly always
        WHEN octet_length(address) = length(address)
        THEN regexp_replace(btrim(address, E' \t\r\n'), '[^@]*$', lower(substring(btrim(address, E' \t\r\n') from '[^@]*$')))
        ELSE regexp_replace(btrim(address, U&' \0009\000D\000A\00A0\FEFF'), '[^@]*$',
             coalesce(enotify.a_labels(substring(btrim(address, U&' \0009\000D\000A\00A0\FEFF') from '[^@]*$')), '')) END
$$;
COMMENT ON FUNCTION enotify.mailbox(text) IS 'the address without surrounding space, its domain in lower case and A-labels; says nothing about whether it is one';

CREATE FUNCTION enotify.mailbox_domain(mailbox text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$ SELECT split_part(mailbox, '@', -1) $$;
COMMENT ON FUNCTION enotify.mailbox_domain(text) IS 'what follows the last @';

-- RFC 5321 §4.1.2 with the limits of §4.5.3.1; NULL when nothing is wrong. Lengths by octet_length(): bounds in a
-- regular expression ({1,253}) cost 30 times as much. No subquery: it would keep the planner from inlining this.
CREATE FUNCTION enotify.mailbox_problem(m text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE
        WHEN m IS NULL OR m = '' THEN 'empty'
        WHEN m ~ '^[A-Za-z0-9!#$%&''*+/=?^_`{|}~.-]+@([a-z0-9_-]+\.)+[a-z0-9-]*[a-z][a-z0-9-]*$' AND octet_length(m) <= 64
             AND m !~ '(^\.|\.\.|\.@|@-|-\.|\.-|-$)' THEN NULL
        WHEN strpos(m, '@') = 0 THEN 'no @'
        WHEN octet_length(m) > 254 THEN 'longer than 254 octets'
        WHEN m ~ '[\x01-\x1f\x7f]' THEN 'control character'
        WHEN m ~ '<.*@.*>' THEN 'has a display name; give the bare address'
        WHEN m ~ '@\[.*\]$' THEN 'address literal instead of a domain'
        WHEN octet_length(m) - octet_length(substring(m from '[^@]*$')) - 1 > 64 THEN 'local part longer than 64 octets'
        WHEN m ~ '^@' THEN 'no local part'
        WHEN m ~ '@$' THEN 'no domain'
        WHEN m !~ '^(?:[A-Za-z0-9!#$%&''*+/=?^_`{|}~\u0080-\U0010FFFF-]+(?:\.[A-Za-z0-9!#$%&''*+/=?^_`{|}~\u0080-\U0010FFFF-]+)*|"(?:[\x20-\x21\x23-\x5b\x5d-\x7e\u0080-\U0010FFFF]|\\[\x20-\x7e])*")@[^@]*$' THEN
            CASE WHEN m ~ '@.*@' THEN 'more than one @'
                 WHEN m ~ '(^\.|\.\.|\.@)' THEN 'dot at an edge of the local part or twice in a row'
                 WHEN m ~ '\s' THEN 'white space'
                 WHEN m ~ '[,;]' THEN 'more than one address'
                 ELSE 'character not allowed in a local part' END
        WHEN m ~ '\.$' THEN 'domain ends with a dot'
        WHEN m !~ '\.' OR m !~ '@.*\.' THEN 'domain without a dot'
        WHEN m !~ '@(?:[a-z0-9_-]+\.)+[a-z0-9-]+$' OR m ~ '(@-|-\.[^@]*$|\.-[^@]*$|-$)' THEN 'not a domain name'
        WHEN m ~ '\.[0-9]+$' THEN 'top-level domain is a number'
        WHEN substring(m from '[^@]*$') ~ '[^.]{64}' THEN 'domain label longer than 63 octets'
        ELSE NULL END
$$;
COMMENT ON FUNCTION enotify.mailbox_problem(text) IS 'why this is not a mailbox one can send to (RFC 5321 §4.1.2), NULL when it is one; takes what mailbox() returns';

-- Create.

CREATE FUNCTION enotify.create_batch(
    idem_key text, from_address text, subject text,
    body_text text DEFAULT NULL, body_html text DEFAULT NULL, from_name text DEFAULT NULL, reply_to text DEFAULT NULL,
    priority int DEFAULT 0, not_before timestamptz DEFAULT NULL, expires_at timestamptz DEFAULT NULL,
    on_unknown text DEFAULT 'hold', list_unsubscribe text DEFAULT NULL
) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
    sender  text := enotify.mailbox(from_address);
    problem text := enotify.mailbox_problem(sender);
    client  int;
    ends    timestamptz := coalesce(expires_at, greatest(now(), not_before) + interval '3 days');
    made    enotify.batch;
BEGIN
    IF problem IS NOT NULL THEN
        RAISE EXCEPTION 'from_address % is no mailbox: %', quote_nullable(from_address), problem USING ERRCODE = 'invalid_parameter_value';
    END IF;
    SELECT c.id INTO client FROM enotify.client c
    WHERE c.domain = enotify.mailbox_domain(sender) AND c.id = ANY (enotify.my_clients());
    IF client IS NULL THEN
        RAISE EXCEPTION 'domain % is not a registered client of yours', enotify.mailbox_domain(sender)
            USING ERRCODE = 'insufficient_privilege', HINT = format('an operator registers it: enotify client add %s', enotify.mailbox_domain(sender));
    END IF;
    problem := enotify.mailbox_problem(enotify.mailbox(nullif(reply_to, '')));
    IF nullif(reply_to, '') IS NOT NULL AND problem IS NOT NULL THEN
        RAISE EXCEPTION 'reply_to % is no mailbox: %', quote_nullable(reply_to), problem USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF ends <= greatest(now(), not_before) THEN
        RAISE EXCEPTION 'expires_at % is not after the start of the batch', ends USING ERRCODE = 'invalid_parameter_value';
    END IF;
    INSERT INTO enotify.batch AS b (client_id, idem_key, from_address, subject, body_text, body_html, from_name, reply_to,
                                    priority, not_before, expires_at, on_unknown, list_unsubscribe)
    VALUES (client, idem_key, sender, subject, coalesce(body_text, ''), coalesce(body_html, ''), coalesce(from_name, ''), coalesce(enotify.mailbox(reply_to), ''),
            coalesce(priority, 0), not_before, ends, coalesce(on_unknown, 'hold'), coalesce(list_unsubscribe, ''))
    ON CONFLICT ON CONSTRAINT batch_client_id_idem_key_key DO NOTHING
    RETURNING b.* INTO made;
    IF made.id IS NULL THEN
        SELECT b.* INTO made FROM enotify.batch b WHERE b.client_id = client AND b.idem_key = idem_key;
        IF (made.subject, made.body_text, made.body_html) IS DISTINCT FROM (subject, coalesce(body_text, ''), coalesce(body_html, '')) THEN
            RAISE WARNING 'batch % already has the idem_key %; it keeps its own subject and body', made.id, quote_literal(idem_key)
                USING HINT = 'a new notification needs a new idem_key';
        END IF;
    END IF;
    RETURN made.id;
END $$;
COMMENT ON FUNCTION enotify.create_batch IS 'a new batch in state draft, or the batch that has this idem_key already. Call it by name: create_batch(idem_key => …)';

CREATE FUNCTION enotify.my_batch(batch bigint) RETURNS enotify.batch
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE b enotify.batch;
BEGIN
    SELECT * INTO b FROM enotify.batch x WHERE x.id = my_batch.batch AND x.client_id = ANY (enotify.my_clients()) FOR UPDATE;
    IF b.id IS NULL THEN
        RAISE EXCEPTION 'no batch % of yours', coalesce(batch::text, 'NULL') USING ERRCODE = 'no_data_found';
    END IF;
    RETURN b;
END $$;
COMMENT ON FUNCTION enotify.my_batch(bigint) IS 'the row, locked, or an error when this login may not see it';

CREATE FUNCTION enotify.add_attachment(batch bigint, filename text, content bytea, content_type text DEFAULT '') RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    b enotify.batch := enotify.my_batch(batch);
    i int;
BEGIN
    IF b.state <> 'draft' THEN
        RAISE EXCEPTION 'batch % is submitted; it takes no more attachments', b.id USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    INSERT INTO enotify.attachment (batch_id, n, filename, content_type, content)
    SELECT b.id, coalesce(max(a.n), 0) + 1, add_attachment.filename, add_attachment.content_type, add_attachment.content
    FROM enotify.attachment a WHERE a.batch_id = b.id
    RETURNING attachment.n INTO i;
    RETURN i;
END $$;
COMMENT ON FUNCTION enotify.add_attachment IS 'adds a file to every message of a draft; returns its number';

-- Stage.

CREATE FUNCTION enotify.add_recipients(batch bigint, addresses text[], data jsonb[] DEFAULT NULL) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE added int;
BEGIN
    IF data IS NOT NULL AND cardinality(data) <> cardinality(addresses) THEN
        RAISE EXCEPTION '% addresses but % data', cardinality(addresses), cardinality(data) USING ERRCODE = 'array_subscript_error';
    END IF;
    INSERT INTO enotify.recipient_in (batch_id, address, data)
    SELECT add_recipients.batch, a, d FROM unnest(addresses, coalesce(add_recipients.data, '{}')) AS t(a, d);
    GET DIAGNOSTICS added = ROW_COUNT;
    RETURN added;
END $$;
COMMENT ON FUNCTION enotify.add_recipients IS 'stages recipients of a draft; returns how many. COPY enotify.recipient_in is the way for large numbers';

-- Seal.

CREATE FUNCTION enotify.suppressed(address text, client int) RETURNS TABLE (class enotify.reply_class, reply text)
LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN s.cause IN ('no_such_user', 'mailbox_full') THEN s.cause::enotify.reply_class END,
           format('suppressed since %s: %s', to_char(s.added_at, 'YYYY-MM-DD'), concat_ws(': ', s.cause, nullif(s.note, '')))
    FROM enotify.suppression s
    WHERE s.address = lower($1) AND (s.client_id IS NULL OR s.client_id = $2) AND (s.until IS NULL OR s.until > now())
    ORDER BY s.client_id NULLS FIRST LIMIT 1
$$;
COMMENT ON FUNCTION enotify.suppressed(text, int) IS 'why an address is not to be sent to for a client, no row when it may be; asked at the seal and again before each try';

CREATE FUNCTION enotify.submit_batch(batch bigint, expected int DEFAULT NULL) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET work_mem = '256MB' AS $$
DECLARE
    b        enotify.batch := enotify.my_batch(batch);
    n_staged int;
    n_total  int;
    n_send   int;
BEGIN
    IF b.state <> 'draft' THEN
        IF b.state = 'cancelled' THEN
            RAISE EXCEPTION 'batch % is cancelled', b.id USING ERRCODE = 'object_not_in_prerequisite_state';
        END IF;
        IF expected IS NOT NULL AND expected <> b.staged THEN
            RAISE EXCEPTION 'batch % was submitted with % recipients, not %', b.id, b.staged, expected USING ERRCODE = 'check_violation';
        END IF;
        RETURN b.total;
    END IF;
    SELECT count(*) INTO n_staged FROM enotify.recipient_in r WHERE r.batch_id = b.id;
    IF expected IS NOT NULL AND expected <> n_staged THEN
        RAISE EXCEPTION 'batch % has % staged recipients, expected %', b.id, n_staged, expected
            USING ERRCODE = 'check_violation', HINT = 'nothing was submitted; stage the missing ones, or cancel the batch and begin again';
    END IF;
    IF n_staged = 0 THEN
        RAISE EXCEPTION 'batch % is empty', b.id
            USING ERRCODE = 'check_violation', HINT = 'stage recipients first: COPY enotify.recipient_in (batch_id, address, data), or add_recipients()';
    END IF;
    IF b.body_text = '' AND b.body_html = '' THEN
        RAISE EXCEPTION 'batch % has neither a text nor an HTML body', b.id USING ERRCODE = 'check_violation', HINT = 'cancel it and create it with body_text or body_html';
    END IF;

    -- Look at each address once. The first of equal ones stands for all.
    CREATE TEMP TABLE seal ON COMMIT DROP AS
    SELECT DISTINCT ON (key) key, problem, m, address, data, place
    FROM (SELECT lower(coalesce(m, '')) COLLATE "C" AS key, m, address, data, ctid AS place,
                 CASE WHEN jsonb_typeof(data) <> 'object' THEN 'data is not a JSON object' ELSE enotify.mailbox_problem(m) END AS problem
          FROM (SELECT enotify.mailbox(r.address) AS m, r.address, r.data, r.ctid FROM enotify.recipient_in r WHERE r.batch_id = b.id OFFSET 0) s) s
    ORDER BY key, place;

    ANALYZE pg_temp.seal; -- else the planner sorts where it could hash

    -- Domains never seen before get their number and group; in order, so that two seals cannot deadlock.
    INSERT INTO enotify.domain (name, grp)
    SELECT d, (hashtextextended(d, 0) & 63)::smallint
    FROM (SELECT DISTINCT enotify.mailbox_domain(m) AS d FROM pg_temp.seal WHERE problem IS NULL) s
    WHERE NOT EXISTS (SELECT FROM enotify.domain k WHERE k.name = s.d)
    ORDER BY d
    ON CONFLICT (name) DO NOTHING;

    -- Number: to be sent to in domain order, then suppressed, then invalid.
    INSERT INTO enotify.recipient (batch_id, seq, domain_id, address, data)
    SELECT b.id, row_number() OVER (ORDER BY s.problem IS NOT NULL, x.address IS NOT NULL, d.id, s.place), d.id,
           CASE WHEN s.problem IS NULL THEN s.m ELSE coalesce(s.address, '') END, s.data
    FROM pg_temp.seal s
    LEFT JOIN enotify.domain d ON s.problem IS NULL AND d.name = enotify.mailbox_domain(s.m)
    LEFT JOIN (SELECT DISTINCT x.address FROM enotify.suppression x
               WHERE (x.client_id IS NULL OR x.client_id = b.client_id) AND (x.until IS NULL OR x.until > now())) x
           ON s.problem IS NULL AND x.address = s.key;
    GET DIAGNOSTICS n_total = ROW_COUNT;

    INSERT INTO enotify.outcome (batch_id, seq, state, reply)
    SELECT b.id, r.seq, 'invalid', coalesce(enotify.mailbox_problem(enotify.mailbox(r.address)), 'data is not a JSON object')
    FROM enotify.recipient r WHERE r.batch_id = b.id AND r.domain_id IS NULL;

    INSERT INTO enotify.outcome (batch_id, seq, state, class, reply)
    SELECT b.id, r.seq, 'suppressed', s.class, s.reply
    FROM enotify.recipient r CROSS JOIN LATERAL enotify.suppressed(r.address, b.client_id) s
    WHERE r.batch_id = b.id AND r.domain_id IS NOT NULL AND EXISTS (SELECT FROM enotify.suppression);

    SELECT n_total - coalesce(sum(c.n), 0) INTO n_send FROM enotify.batch_count c WHERE c.batch_id = b.id;
    INSERT INTO enotify.batch_domain (batch_id, domain_id, first_seq, last_seq, intent_seq, grp)
    SELECT b.id, r.domain_id, min(r.seq), max(r.seq), min(r.seq) - 1, d.grp
    FROM enotify.recipient r JOIN enotify.domain d ON d.id = r.domain_id
    WHERE r.batch_id = b.id AND r.seq <= n_send
    GROUP BY r.domain_id, d.grp;

    DELETE FROM enotify.recipient_in r WHERE r.batch_id = b.id;
    UPDATE enotify.batch x SET state = 'queued', submitted_at = now(), staged = n_staged, duplicates = n_staged - n_total,
                              total = n_total, sendable = n_send
    WHERE x.id = b.id;
    RETURN n_total;
END $$;
COMMENT ON FUNCTION enotify.submit_batch IS
    'seals a draft: checks, normalises, drops repeated addresses, applies suppression, numbers by domain, queues. Returns the number of recipients; a second call returns the same';

CREATE FUNCTION enotify.enqueue(
    idem_key text, from_address text, subject text, body_text text, addresses text[], data jsonb[] DEFAULT NULL,
    body_html text DEFAULT NULL, from_name text DEFAULT NULL, reply_to text DEFAULT NULL, priority int DEFAULT 0,
    not_before timestamptz DEFAULT NULL, expires_at timestamptz DEFAULT NULL, on_unknown text DEFAULT 'hold', list_unsubscribe text DEFAULT NULL
) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    id  bigint := enotify.create_batch(idem_key, from_address, subject, body_text, body_html, from_name, reply_to, priority, not_before, expires_at, on_unknown, list_unsubscribe);
    b   enotify.batch := enotify.my_batch(id);
BEGIN
    IF b.state = 'draft' THEN
        PERFORM enotify.add_recipients(id, addresses, data);
        PERFORM enotify.submit_batch(id, cardinality(addresses));
    END IF;
    RETURN id;
END $$;
COMMENT ON FUNCTION enotify.enqueue IS 'create_batch, add_recipients and submit_batch in one call and in the caller''s transaction; a second call with the same idem_key changes nothing';
