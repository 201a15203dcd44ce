-- The upsert visits its rows in the same order in every transaction, so that two cannot deadlock. Deleted outcomes of a
-- pruned batch still count: its counts outlive its outcomes.
CREATE OR REPLACE FUNCTION enotify.outcome_counted() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO enotify.batch_count AS c (batch_id, state, shard, n)
        SELECT batch_id, state, pg_backend_pid() % 32, count(*) FROM added GROUP BY 1, 2 ORDER BY 1, 2
        ON CONFLICT (batch_id, state, shard) DO UPDATE SET n = c.n + excluded.n;
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO enotify.batch_count AS c (batch_id, state, shard, n)
        SELECT g.batch_id, g.state, pg_backend_pid() % 32, -g.n
        FROM (SELECT batch_id, state, count(*) AS n FROM gone GROUP BY 1, 2) g
        JOIN enotify.batch b ON b.id = g.batch_id AND b.pruned_at IS NULL
        ORDER BY 1, 2
        ON CONFLICT (batch_id, state, shard) DO UPDATE SET n = c.n + excluded.n;
    ELSE
        INSERT INTO enotify.batch_count AS c (batch_id, state, shard, n)
        SELECT batch_id, state, pg_backend_pid() % 32, sum(n)
        FROM (SELECT batch_id, state, 1 AS n FROM added UNION ALL SELECT batch_id, state, -1 FROM gone) d
        GROUP BY 1, 2 HAVING sum(n) <> 0 ORDER BY 1, 2
        ON CONFLICT (batch_id, state, shard) DO UPDATE SET n = c.n + excluded.n;
    END IF;
    RETURN NULL;
END $$;

COMMENT ON FUNCTION enotify.outcome_counted IS 'keeps batch_count exact, whichever session writes outcomes';

CREATE OR REPLACE TRIGGER counted_insert AFTER INSERT ON enotify.outcome REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION enotify.outcome_counted();
CREATE OR REPLACE TRIGGER counted_update AFTER UPDATE ON enotify.outcome
    REFERENCING OLD TABLE AS gone NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION enotify.outcome_counted();
CREATE OR REPLACE TRIGGER counted_delete AFTER DELETE ON enotify.outcome REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION enotify.outcome_counted();
