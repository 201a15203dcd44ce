CREATE OR REPLACE FUNCTION enotify.time_problem(name text, at timestamptz) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE WHEN at < '2000-01-01 00:00+00' OR at >= '10000-01-01 00:00+00' THEN
        format('%s is a time outside of the years 2000 to 9999; leave it out, or give a day to come', name) END
$$;

COMMENT ON FUNCTION enotify.time_problem IS
    'why a batch cannot have this time, infinity included; NULL: it can. No client reads such a time';
