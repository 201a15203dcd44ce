-- A page of numbers first, and then the batches: the view batch_status would count the recipients of all of them to
-- show 50.
CREATE OR REPLACE FUNCTION enotify.batch_page(
    finished boolean, state text, client text, since interval, before bigint, n int
) RETURNS SETOF bigint
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    mine int[] := enotify.my_clients();
BEGIN
    IF batch_page.client <> '' THEN
        mine := ARRAY(SELECT c.id FROM enotify.client c WHERE c.domain = batch_page.client AND c.id = ANY (mine));
    END IF;
    IF batch_page.finished AND batch_page.since > interval '0' THEN -- by the index of their ends
        RETURN QUERY
            SELECT b.id FROM (
                SELECT f.id, f.client_id, f.state FROM enotify.batch f
                WHERE f.finished_at > now() - batch_page.since OFFSET 0) b
            WHERE b.client_id = ANY (mine)
              AND (batch_page.state = '' OR b.state::text = batch_page.state)
              AND (batch_page.before = 0 OR b.id < batch_page.before)
            ORDER BY b.id DESC LIMIT batch_page.n;
    ELSIF batch_page.finished THEN -- from the newest on, by the primary key
        RETURN QUERY
            SELECT b.id FROM enotify.batch b
            WHERE b.finished_at IS NOT NULL AND b.client_id = ANY (mine)
              AND (batch_page.state = '' OR b.state::text = batch_page.state)
              AND (batch_page.before = 0 OR b.id < batch_page.before)
            ORDER BY b.id DESC LIMIT batch_page.n;
    ELSE -- by the index of those
        RETURN QUERY
            SELECT b.id FROM enotify.batch b
            WHERE b.finished_at IS NULL AND b.client_id = ANY (mine)
              AND (batch_page.state = '' OR b.state::text = batch_page.state)
              AND (batch_page.before = 0 OR b.id < batch_page.before)
            ORDER BY b.id DESC LIMIT batch_page.n;
    END IF;
END $$;

COMMENT ON FUNCTION enotify.batch_page IS
    'numbers of the newest n batches that this login may see, finished or not; state, client and before that are empty '
    'or 0 choose all, since chooses those that finished so recently';

GRANT EXECUTE ON FUNCTION enotify.batch_page TO enotify_app, enotify_admin, enotify_sender;
