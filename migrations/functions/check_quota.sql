-- after: quota_left, quota_resumes
CREATE OR REPLACE FUNCTION enotify.check_quota(batch bigint, total int, sendable int) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    c       enotify.client;
    others  int;
    waiting bigint;
    room    bigint;
    resumes timestamptz;
BEGIN
    SELECT x.* INTO c FROM enotify.client x JOIN enotify.batch b ON b.client_id = x.id WHERE b.id = check_quota.batch;
    IF total > c.max_batch_size THEN
        RAISE EXCEPTION 'batch % has % recipients, and a batch of client % may have %', batch, total, c.domain,
            c.max_batch_size
            USING ERRCODE = 'configuration_limit_exceeded',
                  HINT = format('send several batches; an operator raises it: '
                                'enotify client set %s --max-batch-size %s', c.domain, total);
    END IF;
    IF c.over_quota = 'wait' OR c.per_day IS NULL AND c.per_month IS NULL AND c.max_batches IS NULL THEN
        RETURN;
    END IF;
    PERFORM FROM enotify.submit_lock l WHERE l.client_id = c.id FOR UPDATE;
    SELECT count(*), coalesce(sum(d.n), 0) INTO others, waiting
    FROM enotify.batch b CROSS JOIN LATERAL (
        SELECT coalesce(sum(p.last_seq - p.intent_seq), 0) AS n FROM enotify.batch_domain p WHERE p.batch_id = b.id) d
    WHERE b.client_id = c.id AND b.id <> check_quota.batch AND b.finished_at IS NULL AND b.state <> 'draft';
    IF others >= c.max_batches THEN
        RAISE EXCEPTION 'client % has as many batches in the queue as it may have, %: batch % is not submitted',
            c.domain, c.max_batches, batch
            USING ERRCODE = 'configuration_limit_exceeded',
                  HINT = format('submit it when one of them is done; an operator raises it: '
                                'enotify client set %s --max-batches %s', c.domain, others + 1);
    END IF;
    room := enotify.quota_left(c.id);
    IF waiting + sendable > room THEN
        resumes := enotify.quota_resumes(c.id);
        RAISE EXCEPTION 'client % may send % more messages until %, and % wait: batch % with % is not submitted',
            c.domain, room, to_char(resumes AT TIME ZONE c.zone, 'YYYY-MM-DD HH24:MI ') || c.zone, waiting, batch,
            sendable
            USING ERRCODE = 'configuration_limit_exceeded',
                  HINT = format('submit it then, or a smaller one; an operator has it wait instead: '
                                'enotify client set %s --over wait', c.domain);
    END IF;
END $$;

COMMENT ON FUNCTION enotify.check_quota IS
    'refuses to submit a batch that is more than its client may send';
