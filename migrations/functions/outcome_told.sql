-- One row for what a statement wrote of one batch in one state: a row for each recipient would cost as much as its
-- outcome does. Nodes write up to 1,000 outcomes at once, which need not be numbered to make rows that small.
CREATE OR REPLACE FUNCTION enotify.outcome_told() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NOT enotify.events_on() THEN
        RETURN NULL;
    END IF;
    IF TG_OP = 'UPDATE' THEN
        INSERT INTO enotify.event (client_id, batch_id, kind, n, seqs, data)
        SELECT b.client_id, b.id, a.state::text, count(*), array_agg(a.seq),
               jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
                   'was', a.was, 'class', a.class, 'code', a.code, 'enhanced', a.enhanced, 'reply', a.reply)))
        FROM (SELECT x.*, g.state AS was, (row_number() OVER () - 1) / 1000 AS part
              FROM added x JOIN gone g ON g.batch_id = x.batch_id AND g.seq = x.seq
              WHERE x.state <> g.state) a
        JOIN enotify.batch b ON b.id = a.batch_id
        WHERE (SELECT s.every FROM enotify.event_setting s)
           OR EXISTS (SELECT FROM enotify.event_client c WHERE c.client_id = b.client_id)
        GROUP BY b.client_id, b.id, a.state, a.part ORDER BY b.id, a.part;
    ELSIF (SELECT count(*) FROM added) <= 1000 THEN
        INSERT INTO enotify.event (client_id, batch_id, kind, n, seqs, data)
        SELECT b.client_id, b.id, a.state::text, a.n, a.seqs, a.data
        FROM (SELECT x.batch_id, x.state, count(*) AS n, array_agg(x.seq) AS seqs,
                     jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
                         'class', x.class, 'code', x.code, 'enhanced', x.enhanced, 'reply', x.reply)))
                         FILTER (WHERE x.state <> 'delivered') AS data
              FROM added x GROUP BY x.batch_id, x.state OFFSET 0) a
        JOIN enotify.batch b ON b.id = a.batch_id
        WHERE (SELECT s.every FROM enotify.event_setting s)
           OR EXISTS (SELECT FROM enotify.event_client c WHERE c.client_id = b.client_id);
    ELSE
        INSERT INTO enotify.event (client_id, batch_id, kind, n, seqs, data)
        SELECT b.client_id, b.id, a.state::text, count(*), array_agg(a.seq),
               jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
                   'class', a.class, 'code', a.code, 'enhanced', a.enhanced, 'reply', a.reply)))
                   FILTER (WHERE a.state <> 'delivered')
        FROM (SELECT x.*, (row_number() OVER () - 1) / 1000 AS part FROM added x) a
        JOIN enotify.batch b ON b.id = a.batch_id
        WHERE (SELECT s.every FROM enotify.event_setting s)
           OR EXISTS (SELECT FROM enotify.event_client c WHERE c.client_id = b.client_id)
        GROUP BY b.client_id, b.id, a.state, a.part ORDER BY b.id, a.part;
    END IF;
    RETURN NULL;
END $$;

COMMENT ON FUNCTION enotify.outcome_told IS
    'records an event for each outcome that is written, and for each whose state a late fact changes';

CREATE OR REPLACE TRIGGER told_insert AFTER INSERT ON enotify.outcome REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION enotify.outcome_told();
CREATE OR REPLACE TRIGGER told_update AFTER UPDATE ON enotify.outcome
    REFERENCING OLD TABLE AS gone NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION enotify.outcome_told();
