-- after: read_window
CREATE OR REPLACE FUNCTION enotify.window_opening(windows text[], since timestamptz, till timestamptz)
RETURNS timestamptz
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    WITH r AS MATERIALIZED (
        SELECT r.spans, r.zone FROM unnest(windows) w CROSS JOIN LATERAL enotify.read_window(w) r WHERE w IS NOT NULL
    ), minute AS ( -- of two weeks: a span that returns each week may be skipped by clocks that are set
        SELECT since AS x UNION ALL
        SELECT generate_series(date_trunc('minute', since) + interval '1 min',
                               least(till, since + interval '15 days') - interval '1 us', interval '1 min')
    )
    SELECT x FROM minute
    WHERE NOT EXISTS (
        SELECT FROM r CROSS JOIN LATERAL (SELECT x AT TIME ZONE r.zone AS local) l
        WHERE NOT r.spans @> ((extract(isodow FROM local) - 1) * 1440 + extract(hour FROM local) * 60
                              + extract(minute FROM local))::int)
    LIMIT 1 -- in the order in which they are made
$$;

COMMENT ON FUNCTION enotify.window_opening IS
    'the first minute at which all of the windows are open, within two weeks; NULL: there is none before till';
