-- Turns by destination: a batch that only waits for slow sites lets the next one begin elsewhere.

ALTER TABLE enotify.batch ADD turn_at timestamptz;
COMMENT ON COLUMN enotify.batch.turn_at IS 'when it last took the turn: of two that are under way, the earlier goes first in each recipient domain';
CREATE INDEX batch_draining ON enotify.batch (turn_at) WHERE state = 'draining';
COMMENT ON INDEX enotify.batch_draining IS 'those behind whom the batch that has the turn must stay, domain by domain';

ALTER TABLE enotify.node
    ADD turn      text NOT NULL DEFAULT 'strict' CHECK (turn IN ('strict', 'destination')),
    ADD waits_for bigint;
COMMENT ON COLUMN enotify.node.turn IS 'run --turn: destination lets the next batch begin while the last one only waits for slow sites, when all live nodes say so; strict does not';
COMMENT ON COLUMN enotify.node.waits_for IS 'batch in state sending of which, at some moment since the last heartbeat but one, it could begin nothing more: every domain waited for its rate or its site';

CREATE OR REPLACE FUNCTION enotify.batch_moves() RETURNS TABLE (from_state enotify.batch_state, to_state enotify.batch_state)
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    VALUES ('draft'::enotify.batch_state, 'queued'::enotify.batch_state), ('draft', 'cancelled'),
           ('queued', 'sending'), ('queued', 'paused'), ('queued', 'blocked'), ('queued', 'cancelled'), ('queued', 'done'),
           ('sending', 'draining'),
           ('sending', 'queued'), ('sending', 'retrying'), ('sending', 'done'), ('sending', 'paused'), ('sending', 'blocked'), ('sending', 'cancelled'),
           ('draining', 'queued'), ('draining', 'retrying'), ('draining', 'done'), ('draining', 'paused'), ('draining', 'blocked'), ('draining', 'cancelled'),
           ('retrying', 'done'), ('retrying', 'paused'), ('retrying', 'blocked'), ('retrying', 'cancelled'), ('retrying', 'queued'),
           ('paused', 'queued'), ('paused', 'cancelled'), ('paused', 'done'),
           ('blocked', 'queued'), ('blocked', 'paused'), ('blocked', 'cancelled'), ('blocked', 'done'),
           ('done', 'queued')
$$;
COMMENT ON FUNCTION enotify.batch_moves() IS 'every way a batch may go: done from anywhere only when all have an outcome or it expired; done to queued only by a requeue';

CREATE OR REPLACE FUNCTION enotify.pause_batch(batch bigint, reason text DEFAULT '') RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE b enotify.batch := enotify.my_batch(batch);
BEGIN
    IF b.state = 'paused' THEN
        RETURN;
    ELSIF b.state NOT IN ('queued', 'sending', 'draining', 'retrying', 'blocked') THEN
        RAISE EXCEPTION 'batch % is %; there is nothing to pause', b.id, b.state USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    UPDATE enotify.batch x SET state = 'paused', reason = coalesce(pause_batch.reason, '') WHERE x.id = b.id;
END $$;

CREATE OR REPLACE FUNCTION enotify.resume_batch(batch bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE b enotify.batch;
BEGIN
    PERFORM pg_advisory_xact_lock(1701736295, x.client_id) FROM enotify.batch x WHERE x.id = resume_batch.batch; -- clientLock of package queue
    b := enotify.my_batch(batch);
    IF b.state IN ('queued', 'sending', 'draining', 'retrying') THEN
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
