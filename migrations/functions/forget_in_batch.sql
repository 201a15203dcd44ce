-- The lock makes writers of results wait for this transaction: after it they see that the recipient is forgotten.
CREATE OR REPLACE FUNCTION enotify.forget_in_batch(
    batch bigint, seqs int[], address text, OUT recipients int, OUT replies int, OUT reports int, OUT events int
)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '10s' AS $$
DECLARE
    who    text := lower(forget_in_batch.address);
    theirs int[];
    n      int;
BEGIN
    IF who = '' IS NOT FALSE THEN
        RAISE EXCEPTION 'no address is given' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    PERFORM enotify.lock_results(forget_in_batch.batch);
    WITH gone AS (
        UPDATE enotify.recipient r SET address = '', data = NULL
        WHERE r.batch_id = forget_in_batch.batch AND r.seq = ANY (seqs)
          AND (lower(r.address) = who OR r.domain_id IS NULL
               AND (lower(enotify.mailbox(r.address)) = who OR enotify.redacted(r.address, who) <> r.address))
        RETURNING r.seq
    )
    SELECT coalesce(array_agg(g.seq), '{}') INTO theirs FROM gone g;
    recipients := cardinality(theirs);
    INSERT INTO enotify.forgotten (batch_id, seq) SELECT forget_in_batch.batch, s FROM unnest(theirs) s
    ON CONFLICT DO NOTHING;

    UPDATE enotify.outcome o SET reply = CASE WHEN o.seq <> ALL (theirs) THEN enotify.redacted(o.reply, who) END
    WHERE o.batch_id = forget_in_batch.batch AND o.seq = ANY (seqs) AND o.reply <> ''
      AND (o.seq = ANY (theirs) OR enotify.redacted(o.reply, who) <> o.reply);
    GET DIAGNOSTICS replies = ROW_COUNT;
    UPDATE enotify.attempt t SET reply = CASE WHEN t.seq <> ALL (theirs) THEN enotify.redacted(t.reply, who) END
    WHERE t.batch_id = forget_in_batch.batch AND t.seq = ANY (seqs) AND t.reply <> ''
      AND (t.seq = ANY (theirs) OR enotify.redacted(t.reply, who) <> t.reply);
    GET DIAGNOSTICS n = ROW_COUNT;
    replies := replies + n;
    UPDATE enotify.retry t SET reply = CASE WHEN t.seq <> ALL (theirs) THEN enotify.redacted(t.reply, who) END
    WHERE t.batch_id = forget_in_batch.batch AND t.seq = ANY (seqs) AND t.reply <> ''
      AND (t.seq = ANY (theirs) OR enotify.redacted(t.reply, who) <> t.reply);
    GET DIAGNOSTICS n = ROW_COUNT;
    replies := replies + n;
    UPDATE enotify.report p SET reply = NULL, raw = NULL, message_id = encode(p.fingerprint, 'hex')
    WHERE p.batch_id = forget_in_batch.batch AND p.seq = ANY (seqs)
      AND (p.seq = ANY (theirs) OR enotify.redacted(p.reply, who) <> p.reply);
    GET DIAGNOSTICS reports = ROW_COUNT;
    UPDATE enotify.event e SET data = (
        SELECT jsonb_agg(CASE WHEN e.seqs[d.i::int] = ANY (theirs) THEN d.x - 'reply' ELSE d.x END ORDER BY d.i)
        FROM jsonb_array_elements(e.data) WITH ORDINALITY d (x, i))
    WHERE e.batch_id = forget_in_batch.batch AND e.seqs && theirs AND jsonb_typeof(e.data) = 'array';
    GET DIAGNOSTICS events = ROW_COUNT;
END $$;

COMMENT ON FUNCTION enotify.forget_in_batch IS
    'erases an address from these recipients of a batch: the address, the merge data, and the words of receivers. A '
    'recipient with another address loses only this one where its words quote it. The recipients, their states and the '
    'counts stay; one that was not tried yet gets nothing. Returns what was erased';

GRANT EXECUTE ON FUNCTION enotify.forget_in_batch TO enotify_admin;
