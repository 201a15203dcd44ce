-- What replies lead to, beyond the recipient they are about: mailboxes that stay full, clients whom receivers refuse.

CREATE TABLE enotify.full_mailbox (
    address  text PRIMARY KEY,
    first_at timestamptz NOT NULL,
    last_at  timestamptz NOT NULL,
    replies  int NOT NULL
);
COMMENT ON TABLE  enotify.full_mailbox IS 'addresses whose mailbox was full when last tried, and since when; a delivery or a suppression takes them out';
COMMENT ON COLUMN enotify.full_mailbox.address IS 'normalised and lower case';
COMMENT ON COLUMN enotify.full_mailbox.first_at IS 'first such reply without a delivery since';
COMMENT ON COLUMN enotify.full_mailbox.last_at IS 'last such reply; also keeps one that is written twice from counting twice';
COMMENT ON COLUMN enotify.full_mailbox.replies IS 'such replies since first_at';

CREATE TABLE enotify.auth_refusal (
    client_id int  NOT NULL REFERENCES enotify.client ON DELETE CASCADE,
    site      text NOT NULL,
    first_at  timestamptz NOT NULL,
    last_at   timestamptz NOT NULL,
    hits      int  NOT NULL,
    batch_id  bigint NOT NULL,
    seq       int  NOT NULL,
    code      text NOT NULL,
    reply     text NOT NULL,
    PRIMARY KEY (client_id, site)
);
COMMENT ON TABLE  enotify.auth_refusal IS 'sites that refuse a client''s mail as not authorised: the evidence for blocking its batches';
COMMENT ON COLUMN enotify.auth_refusal.client_id IS 'the client';
COMMENT ON COLUMN enotify.auth_refusal.site IS 'who refuses: mail servers of one provider';
COMMENT ON COLUMN enotify.auth_refusal.first_at IS 'first refusal of this spell; a spell ends after an hour without one';
COMMENT ON COLUMN enotify.auth_refusal.last_at IS 'last refusal; also keeps one that is written twice from counting twice';
COMMENT ON COLUMN enotify.auth_refusal.hits IS 'refusals since first_at';
COMMENT ON COLUMN enotify.auth_refusal.batch_id IS 'batch of the first one';
COMMENT ON COLUMN enotify.auth_refusal.seq IS 'recipient of the first one';
COMMENT ON COLUMN enotify.auth_refusal.code IS 'reply code and enhanced code of the first one';
COMMENT ON COLUMN enotify.auth_refusal.reply IS 'text of the first one';

ALTER TABLE enotify.client ADD refused_at timestamptz, ADD refused_why text NOT NULL DEFAULT '';
COMMENT ON COLUMN enotify.client.refused_at IS 'since when its batches are blocked because receivers refuse them though the guard finds nothing wrong; until its record changes, or one of them is resumed; NULL: they are not';
COMMENT ON COLUMN enotify.client.refused_why IS 'the evidence for that, and what to do about it';

CREATE OR REPLACE FUNCTION enotify.resume_batch(batch bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE b enotify.batch;
BEGIN
    PERFORM pg_advisory_xact_lock(1701736295, x.client_id) FROM enotify.batch x WHERE x.id = resume_batch.batch; -- clientLock of package queue
    b := enotify.my_batch(batch);
    IF b.state IN ('queued', 'sending', 'retrying') THEN
        RETURN;
    ELSIF b.state NOT IN ('paused', 'blocked') THEN
        RAISE EXCEPTION 'batch % is %; only a paused or blocked batch can be resumed', b.id, b.state USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    IF b.state = 'blocked' THEN
        UPDATE enotify.verdict v SET valid_until = now() WHERE v.client_id = b.client_id AND v.superseded_at IS NULL;
        UPDATE enotify.client c SET refused_at = NULL, refused_why = '' WHERE c.id = b.client_id AND c.refused_at IS NOT NULL;
        DELETE FROM enotify.auth_refusal a WHERE a.client_id = b.client_id;
    END IF;
    UPDATE enotify.batch x SET state = 'queued', reason = '' WHERE x.id = b.id;
END $$;
COMMENT ON FUNCTION enotify.resume_batch IS 'puts a paused batch back into the queue; has the guard look again at once at a blocked one, and forgets what receivers had refused of its client';

REVOKE ALL ON enotify.full_mailbox, enotify.auth_refusal FROM PUBLIC;
GRANT SELECT ON enotify.full_mailbox, enotify.auth_refusal TO enotify_admin, enotify_sender;
GRANT INSERT, UPDATE, DELETE ON enotify.full_mailbox, enotify.auth_refusal TO enotify_sender;
GRANT DELETE ON enotify.full_mailbox TO enotify_admin;
GRANT UPDATE (refused_at, refused_why) ON enotify.client TO enotify_sender;
