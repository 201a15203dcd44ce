-- What comes back after a message was accepted: where it is to come back to, and what it said.

ALTER TABLE enotify.client
    ADD COLUMN bounce text NOT NULL DEFAULT 'off' CHECK (bounce IN ('off', 'operator', 'own')),
    ADD COLUMN bounce_domain text CHECK (bounce_domain = lower(bounce_domain) AND bounce_domain ~ '^[a-z0-9_-]+(\.[a-z0-9_-]+)+$' AND length(bounce_domain) <= 189),
    ADD CONSTRAINT client_bounce_domain_own CHECK ((bounce = 'own') = (bounce_domain IS NOT NULL));
COMMENT ON COLUMN enotify.client.bounce IS
    'envelope sender of its mail: off: return_path, or the From: address; own: a signed address per recipient at bounce_domain; operator: the same at the domain of run --bounce-domain';
COMMENT ON COLUMN enotify.client.bounce_domain IS
    'domain of its signed return paths, whose MX leads to run --bounce-listen; a local part takes up to 64 octets of the 254 of an address';

-- Another envelope sender is another SPF record: nothing leaves before the guard has looked at it.
CREATE FUNCTION enotify.client_moved() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE enotify.verdict v SET valid_until = now() WHERE v.client_id = NEW.id AND v.superseded_at IS NULL AND v.valid_until > now();
    PERFORM pg_notify('enotify', TG_TABLE_NAME);
    RETURN NULL;
END $$;
COMMENT ON FUNCTION enotify.client_moved() IS 'has the guard look again at a client whose envelope sender changes';
CREATE TRIGGER moved AFTER UPDATE OF bounce, bounce_domain ON enotify.client
    FOR EACH ROW WHEN (NEW IS DISTINCT FROM OLD) EXECUTE FUNCTION enotify.client_moved();

CREATE TABLE enotify.report (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    fingerprint bytea  NOT NULL UNIQUE CHECK (length(fingerprint) = 32),
    batch_id    bigint NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now(),
    seq         int    NOT NULL,
    code        smallint,
    signed      boolean NOT NULL,
    kind        text   NOT NULL CHECK (kind IN ('bounce', 'expired', 'delay', 'complaint', 'autoreply', 'challenge', 'other')),
    was         enotify.recipient_state,
    class       enotify.reply_class,
    enhanced    text,
    reply       text,
    message_id  text   NOT NULL,
    via         text   NOT NULL CHECK (via IN ('listener', 'ingest')),
    raw         bytea CHECK (length(raw) <= 1048576)
);
CREATE INDEX report_recipient ON enotify.report (batch_id, seq);
CREATE INDEX report_raw ON enotify.report (received_at) WHERE raw IS NOT NULL;
COMMENT ON TABLE  enotify.report IS 'mail that came back about a recipient: what it said, and for 30 days the mail itself. The same thing said twice is here once';
COMMENT ON COLUMN enotify.report.id IS 'number';
COMMENT ON COLUMN enotify.report.fingerprint IS
    'SHA-256 of whom it is about, its kind and its codes, and of how often the batch had been requeued; not of the mail, which is another on each way it takes';
COMMENT ON COLUMN enotify.report.batch_id IS 'the batch';
COMMENT ON COLUMN enotify.report.received_at IS 'when it was first recorded';
COMMENT ON COLUMN enotify.report.seq IS 'the recipient';
COMMENT ON COLUMN enotify.report.code IS 'SMTP reply code; NULL: it named none';
COMMENT ON COLUMN enotify.report.signed IS 'whether it came to, or returned, a return path that we signed; else it was found by Message-ID or address, which anybody can write';
COMMENT ON COLUMN enotify.report.kind IS 'bounce: given up; expired: given up since nobody answered; delay: still tried; complaint: called spam; autoreply, challenge, other: means nothing for the recipient';
COMMENT ON COLUMN enotify.report.was IS 'state that the recipient had when it came and that it changed; NULL: it changed none';
COMMENT ON COLUMN enotify.report.class IS 'why; NULL: it gave no reason';
COMMENT ON COLUMN enotify.report.enhanced IS 'enhanced status code (RFC 3463)';
COMMENT ON COLUMN enotify.report.reply IS 'the receiver''s words';
COMMENT ON COLUMN enotify.report.message_id IS 'of the mail itself, or a hash of it: a copy that is read again after a requeue says nothing new';
COMMENT ON COLUMN enotify.report.via IS 'listener: by SMTP or LMTP; ingest: by enotify bounce ingest';
COMMENT ON COLUMN enotify.report.raw IS 'the mail, as far as it was kept; NULL after 30 days';

COMMENT ON TABLE enotify.outcome IS
    'the final result of a recipient, at most one each; appended, changed only by a late fact: about one that was unknown, or a report that one who was delivered has bounced after all';

-- A late bounce finds the latest message to an address by its domain; the batches of a week are few.
CREATE FUNCTION enotify.latest_to(address text, since interval) RETURNS TABLE (batch_id bigint, seq int)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT r.batch_id, r.seq
    FROM enotify.domain k
    JOIN enotify.batch_domain p ON p.domain_id = k.id
    JOIN enotify.batch b ON b.id = p.batch_id AND b.started_at > now() - latest_to.since
    CROSS JOIN LATERAL (
        SELECT x.batch_id, x.seq FROM enotify.recipient x
        WHERE x.batch_id = p.batch_id AND x.seq BETWEEN p.first_seq AND p.intent_seq AND lower(x.address) = lower(latest_to.address)
    ) r
    JOIN enotify.outcome o ON o.batch_id = r.batch_id AND o.seq = r.seq AND o.state IN ('delivered', 'unknown', 'bounced', 'expired')
    WHERE k.name = split_part(lower(latest_to.address), '@', -1)
    ORDER BY o.at DESC LIMIT 1
$$;
COMMENT ON FUNCTION enotify.latest_to(text, interval) IS 'the recipient of a batch that an address was last sent to as';

REVOKE ALL ON enotify.report FROM PUBLIC;
REVOKE ALL ON FUNCTION enotify.client_moved, enotify.latest_to FROM PUBLIC;
GRANT SELECT ON enotify.report TO enotify_admin, enotify_sender;
GRANT INSERT, UPDATE, DELETE ON enotify.report TO enotify_sender;
GRANT EXECUTE ON FUNCTION enotify.latest_to TO enotify_sender;
