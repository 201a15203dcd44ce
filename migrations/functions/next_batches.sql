-- after: batch_pool, may_take_turn, out_of_plan
--
-- The order of the turns: priority; then those whose turn a batch of higher priority took away; then the turn goes
-- round the clients, by the login that created the batch: first the one whose last turn is longest ago, and of its
-- batches the oldest. So 3,000 batches of one login come between those of the others one at a time. An application
-- does not get more turns by naming other clients: it has those that an operator gave it. The forecast has the same
-- order of all batches in one query: aheadSQL in queue/insight.
--
-- It reads the batches of a client one by one, as far as they are needed: there may be very many. Guard and plan are
-- asked once for each client, not for each batch.
CREATE OR REPLACE FUNCTION enotify.next_batches(most int, surveyed boolean) RETURNS SETOF bigint
LANGUAGE plpgsql STABLE AS $$
DECLARE
    -- Of each client and login that have batches of a priority in the queue, in the order of their next turns.
    priorities int[];
    fresh      boolean[];
    clients    int[];
    logins     name[];
    ats        timestamptz[]; -- its last one that is in the result; NULL: it has no more
    ids        bigint[];
    first      int := 1; -- of those that have the turn in the same round
    last       int;
    it         record;
    whose      text;
    known      jsonb := '{}';
    n          int := 0;
    before     int;
BEGIN
    WITH RECURSIVE heads AS (
        (SELECT b.priority, b.yielded_at IS NULL AS fresh, b.client_id, b.created_by, b.submitted_at, b.id
         FROM enotify.batch b WHERE b.state = 'queued'
         ORDER BY b.priority, (b.yielded_at IS NULL), b.client_id, b.created_by, b.submitted_at, b.id LIMIT 1)
        UNION ALL
        SELECT later.* FROM heads h CROSS JOIN LATERAL (
            SELECT b.priority, b.yielded_at IS NULL, b.client_id, b.created_by, b.submitted_at, b.id
            FROM enotify.batch b
            WHERE b.state = 'queued' AND (b.priority, (b.yielded_at IS NULL), b.client_id, b.created_by)
              > (h.priority, h.fresh, h.client_id, h.created_by)
            ORDER BY b.priority, (b.yielded_at IS NULL), b.client_id, b.created_by, b.submitted_at, b.id LIMIT 1) later
    ), ordered AS (
        SELECT h.*, row_number() OVER (
            ORDER BY h.priority DESC, h.fresh, t.turn_at NULLS FIRST, h.submitted_at, h.id) AS place
        FROM heads h CROSS JOIN LATERAL (
            SELECT max(b.turn_at) AS turn_at FROM enotify.batch b
            WHERE b.client_id = h.client_id AND b.created_by = h.created_by AND b.turn_at IS NOT NULL) t
    )
    SELECT array_agg(o.priority ORDER BY o.place), array_agg(o.fresh ORDER BY o.place),
           array_agg(o.client_id ORDER BY o.place), array_agg(o.created_by ORDER BY o.place),
           array_agg('-infinity'::timestamptz), array_agg(0::bigint)
    INTO priorities, fresh, clients, logins, ats, ids FROM ordered o;

    WHILE first <= cardinality(clients) LOOP
        last := first;
        WHILE priorities[last + 1] = priorities[first] AND fresh[last + 1] = fresh[first] LOOP
            last := last + 1;
        END LOOP;
        LOOP
            before := n;
            FOR i IN first..last LOOP
                CONTINUE WHEN ats[i] IS NULL;
                FOR it IN
                    SELECT b.id, b.submitted_at, b.pool, b.send_window, b.started_at IS NOT NULL AS begun
                    FROM enotify.batch b
                    WHERE b.state = 'queued' AND b.priority = priorities[i] AND (b.yielded_at IS NULL) = fresh[i]
                      AND b.client_id = clients[i] AND b.created_by = logins[i]
                      AND (b.submitted_at, b.id) > (ats[i], ids[i])
                      AND (b.not_before IS NULL OR b.not_before <= now()) AND b.expires_at > now()
                      AND (b.surveyed_at IS NOT NULL OR NOT surveyed)
                    ORDER BY b.submitted_at, b.id
                LOOP
                    whose := concat_ws(' ', clients[i], priorities[i], it.begun, it.pool, it.send_window);
                    IF known -> whose IS NULL THEN
                        known := known || jsonb_build_object(whose, enotify.may_take_turn(
                            clients[i], enotify.batch_pool(it.pool, priorities[i], clients[i]), it.begun)
                            AND NOT enotify.out_of_plan(clients[i], priorities[i], it.send_window, it.begun));
                    END IF;
                    EXIT WHEN known -> whose = 'true';
                END LOOP;
                IF NOT FOUND OR known -> whose <> 'true' THEN
                    ats[i] := NULL;
                    CONTINUE;
                END IF;
                ats[i] := it.submitted_at;
                ids[i] := it.id;
                RETURN NEXT it.id;
                n := n + 1;
                IF n = most THEN
                    RETURN;
                END IF;
            END LOOP;
            EXIT WHEN n = before;
        END LOOP;
        first := last + 1;
    END LOOP;
END $$;

COMMENT ON FUNCTION enotify.next_batches IS
    'the batches that are next, in the order of their turns: queued, due, in their plan, and let go by the guard. With '
    'surveyed only those whose sites are known';

GRANT EXECUTE ON FUNCTION enotify.next_batches TO enotify_sender;
