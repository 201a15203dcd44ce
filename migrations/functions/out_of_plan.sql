-- after: window_allows
--
-- In PL/pgSQL, whose plan the session keeps: it is asked in every tick.
CREATE OR REPLACE FUNCTION enotify.out_of_plan(
    client int, priority int, send_window text, begun boolean
) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN NOT enotify.window_allows($1, $2, $3) OR EXISTS (
        SELECT FROM enotify.client c
        WHERE c.id = $1 AND (c.spent_until > now() OR NOT $4 AND c.urgent > $2
          AND CASE WHEN c.max_batches IS NOT NULL THEN c.max_batches <= ( -- there may be very many
            SELECT count(*) FROM enotify.batch o
            WHERE o.client_id = $1 AND o.finished_at IS NULL AND o.started_at IS NOT NULL
              AND o.state IN ('queued', 'sending', 'draining', 'retrying')) END));
END $$;

COMMENT ON FUNCTION enotify.out_of_plan IS
    'whether a batch waits for its plan: its windows are closed, its client has sent all that it may for now, or has '
    'as many batches under way as it may';

GRANT EXECUTE ON FUNCTION enotify.out_of_plan TO enotify_sender;
