CREATE OR REPLACE FUNCTION enotify.forget_address(
    address text, keep boolean, OUT suppressions int, OUT kept int, OUT counted int, OUT staged int, OUT texts int
)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '10s' AS $$
DECLARE
    who text := lower(forget_address.address);
    n   int;
BEGIN
    IF who = '' IS NOT FALSE THEN
        RAISE EXCEPTION 'no address is given' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    kept := 0;
    IF keep AND EXISTS (
        SELECT FROM enotify.suppression s WHERE s.address = who AND (s.until IS NULL OR s.until > now()))
    THEN
        PERFORM enotify.make_hash_key();
        INSERT INTO enotify.suppression AS s (address, client_id, cause, until, added_at, added_by)
        SELECT enotify.hashed_address(who), o.client_id, o.cause, o.until, o.added_at, o.added_by
        FROM enotify.suppression o WHERE o.address = who AND (o.until IS NULL OR o.until > now())
        ON CONFLICT ON CONSTRAINT suppression_address_client_id_key DO UPDATE
        SET cause = excluded.cause, until = excluded.until
        WHERE s.until < excluded.until OR s.until IS NOT NULL AND excluded.until IS NULL;
    END IF;
    DELETE FROM enotify.suppression s WHERE s.address = who;
    GET DIAGNOSTICS suppressions = ROW_COUNT;
    SELECT count(*) INTO kept FROM enotify.suppression s
    WHERE s.address = enotify.hashed_address(who) AND (s.until IS NULL OR s.until > now());
    DELETE FROM enotify.counted_reply c WHERE c.address = who;
    GET DIAGNOSTICS counted = ROW_COUNT;

    -- Not deleted: submit_batch may be told how many rows to expect. An empty address is an invalid one.
    UPDATE enotify.recipient_in r SET address = '', data = NULL
    WHERE lower(enotify.mailbox(r.address)) = who OR enotify.redacted(r.address, who) <> r.address;
    GET DIAGNOSTICS staged = ROW_COUNT;

    texts := 0;
    UPDATE enotify.suppression x SET note = enotify.redacted(x.note, who)
    WHERE strpos(lower(x.note), who) > 0;
    GET DIAGNOSTICS n = ROW_COUNT;
    texts := texts + n;
    UPDATE enotify.suppression_due x SET reply = enotify.redacted(x.reply, who)
    WHERE strpos(lower(x.reply), who) > 0;
    GET DIAGNOSTICS n = ROW_COUNT;
    texts := texts + n;
    UPDATE enotify.alert_log x SET text = enotify.redacted(x.text, who), next = enotify.redacted(x.next, who)
    WHERE strpos(lower(x.text), who) > 0 OR strpos(lower(x.next), who) > 0;
    GET DIAGNOSTICS n = ROW_COUNT;
    texts := texts + n;
    UPDATE enotify.auth_refusal x SET reply = enotify.redacted(x.reply, who)
    WHERE strpos(lower(x.reply), who) > 0;
    GET DIAGNOSTICS n = ROW_COUNT;
    texts := texts + n;
    UPDATE enotify.client x SET refused_why = enotify.redacted(x.refused_why, who)
    WHERE strpos(lower(x.refused_why), who) > 0;
    GET DIAGNOSTICS n = ROW_COUNT;
    texts := texts + n;
    UPDATE enotify.batch x SET reason = enotify.redacted(x.reason, who), fault = enotify.redacted(x.fault, who)
    WHERE strpos(lower(x.reason), who) > 0 OR strpos(lower(x.fault), who) > 0;
    GET DIAGNOSTICS n = ROW_COUNT;
    texts := texts + n;
    UPDATE enotify.batch_log x SET reason = enotify.redacted(x.reason, who)
    WHERE strpos(lower(x.reason), who) > 0;
    GET DIAGNOSTICS n = ROW_COUNT;
    texts := texts + n;
    -- The nodes take the new version over, as after forget_learned().
    UPDATE enotify.pace p SET state = enotify.redacted(p.state::text, who)::jsonb, version = p.version + 1,
                              updated_at = clock_timestamp()
    WHERE strpos(lower(p.state::text), who) > 0;
    GET DIAGNOSTICS n = ROW_COUNT;
    texts := texts + n;
    IF n > 0 THEN
        PERFORM pg_notify('enotify', 'pace');
    END IF;
    UPDATE enotify.event e SET data = enotify.redacted(e.data::text, who)::jsonb
    WHERE strpos(lower(e.data::text), who) > 0;
    GET DIAGNOSTICS n = ROW_COUNT;
    texts := texts + n;
    UPDATE enotify.preflight p
    SET report = enotify.redacted(p.report::text, who)::jsonb, line = enotify.redacted(p.line, who),
        forced = enotify.redacted(p.forced, who)
    WHERE strpos(lower(concat_ws(' ', p.report::text, p.line, p.forced)), who) > 0;
    GET DIAGNOSTICS n = ROW_COUNT;
    texts := texts + n;
END $$;

COMMENT ON FUNCTION enotify.forget_address IS
    'erases an address from what belongs to no recipient of a batch: suppressions, counted replies, staged rows, and '
    'texts that quote it. keep: suppressions in force stay under hashed_address(). Returns what was erased, and how '
    'many suppressions are kept';

GRANT EXECUTE ON FUNCTION enotify.forget_address TO enotify_admin;
