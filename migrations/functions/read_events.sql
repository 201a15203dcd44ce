-- A row holds at most 1,000 events: that is how far before "after" one may begin.
CREATE OR REPLACE FUNCTION enotify.read_events(clients int[], kinds text[], after bigint, upto bigint, most int)
RETURNS TABLE (id bigint, at timestamptz, kind text, client text, batch_id bigint, idem_key text, seq int,
               address text, data jsonb)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp ROWS 1000 AS $$
#variable_conflict use_column
DECLARE
    begins bigint := read_events.after - 1000;
    rows   enotify.event[];
BEGIN
    IF clients IS NULL THEN
        rows := ARRAY(
            SELECT e FROM enotify.event e
            WHERE e.first > begins AND e.first + e.n - 1 > read_events.after AND e.first <= read_events.upto
              AND (read_events.kinds = '{}' OR e.kind = ANY (read_events.kinds))
            ORDER BY e.first LIMIT read_events.most);
    ELSE -- of each client a few, by its index: what others have is not looked at
        rows := ARRAY(
            SELECT x.e FROM unnest(clients) c CROSS JOIN LATERAL (
                SELECT e, e.first FROM enotify.event e
                WHERE e.client_id = c AND e.first > begins AND e.first + e.n - 1 > read_events.after
                  AND e.first <= read_events.upto AND (read_events.kinds = '{}' OR e.kind = ANY (read_events.kinds))
                ORDER BY e.first LIMIT read_events.most) x
            ORDER BY x.first LIMIT read_events.most);
    END IF;
    RETURN QUERY
    SELECT s.number, s.at, s.kind, k.domain, s.batch_id, b.idem_key, s.seq, r.address,
           CASE WHEN s.kind <> 'delivered' OR s.data IS NOT NULL THEN coalesce(s.data, '{}')
                ELSE jsonb_strip_nulls(jsonb_build_object('code', o.code, 'enhanced', o.enhanced, 'reply', o.reply)) END
    FROM (
        SELECT e.first + u.i - 1 AS number, e.at, e.kind, e.client_id, e.batch_id, u.seq,
               CASE WHEN e.seqs IS NULL THEN e.data ELSE e.data -> (u.i - 1)::int END AS data
        FROM (SELECT x.*, sum(x.n) OVER (ORDER BY x.first) - x.n AS before FROM unnest(rows) x) e
        CROSS JOIN LATERAL unnest(coalesce(e.seqs, ARRAY[NULL::int])) WITH ORDINALITY u (seq, i)
        WHERE e.before < read_events.most + 1000
          AND e.first + u.i - 1 > read_events.after AND e.first + u.i - 1 <= read_events.upto
        ORDER BY e.first, u.i LIMIT read_events.most
    ) s
    LEFT JOIN enotify.client k ON k.id = s.client_id
    LEFT JOIN enotify.batch b ON b.id = s.batch_id
    LEFT JOIN enotify.recipient r ON r.batch_id = s.batch_id AND r.seq = s.seq
    LEFT JOIN enotify.outcome o ON s.kind = 'delivered' AND o.batch_id = s.batch_id AND o.seq = s.seq
          AND o.state = 'delivered'
    ORDER BY s.number;
END $$;

COMMENT ON FUNCTION enotify.read_events IS
    'events of these clients (NULL: of all, and those about none) and kinds (empty: all), with numbers from after + 1 '
    'to upto, in order';

GRANT EXECUTE ON FUNCTION enotify.read_events TO enotify_sender;
