-- The one parser of windows. What it writes is read by package queue/window, which knows the time zones of its own.
--
-- A span without days has those of the span before it, the first one all days. Days that stand alone belong to the next
-- span: "Mon,Wed 08:00-12:00".
CREATE OR REPLACE FUNCTION enotify.read_window(
    given text, OUT spec text, OUT problem text, OUT spans int4multirange, OUT zone text
) LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    names constant text[] := '{Mon,Tue,Wed,Thu,Fri,Sat,Sun}';
    day   constant text := '(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*';
    week  constant int := 7 * 1440; -- minutes
    body  text;
    item  text;
    part  text[];
    days  text := '';     -- that stand before the times of the span under way
    last  text := 'Mon-Sun';
    said  text[] := '{}';
    a int; b int; h int; opens int; ends int;
BEGIN
    spans := '{}';
    part := regexp_match(btrim(given), E'^(.*\\S)\\s+(\\S+)$');
    IF part IS NULL OR part[2] ~ '^[0-9:-]+$' THEN
        problem := format('window %s names no time zone: want "Mon-Fri 08:00-20:00 Europe/Berlin"',
                          quote_literal(left(given, 100)));
        RETURN;
    END IF;
    body := part[1];
    SELECT z.name INTO zone FROM pg_timezone_names z
    WHERE lower(z.name) = lower(part[2]) AND (z.name ~ '^[A-Z][A-Za-z_]+/[A-Za-z0-9_/+-]+$' OR z.name = 'UTC') LIMIT 1;
    IF zone IS NULL THEN
        problem := format('window %s: %s is no time zone: want one such as Europe/Berlin, or UTC',
                          quote_literal(left(given, 100)), left(part[2], 50));
        RETURN;
    END IF;
    FOREACH item IN ARRAY regexp_split_to_array(body, E'\\s*[,;]\\s*') LOOP
        part := regexp_match(item, format(E'^(?:(%s(?:\\s*-\\s*%s)?))$', day, day), 'i');
        IF part IS NOT NULL THEN
            days := days || part[1] || ',';
            CONTINUE;
        END IF;
        part := regexp_match(item, format(
            E'^(?:(%s(?:\\s*-\\s*%s)?)\\s+|daily\\s+)?(\\d{1,2}):(\\d\\d)\\s*-\\s*(\\d{1,2}):(\\d\\d)$',
            day, day), 'i');
        IF part IS NULL THEN
            problem := format('window %s: %s is no span: want days and hours such as Mon-Fri 08:00-20:00',
                              quote_literal(left(given, 100)), quote_literal(left(item, 50)));
            RETURN;
        END IF;
        opens := part[2]::int * 60 + part[3]::int;
        ends := part[4]::int * 60 + part[5]::int;
        IF opens >= 1440 OR ends > 1440 OR part[3]::int > 59 OR part[5]::int > 59 THEN
            problem := format('window %s: %s has a time that no clock shows', quote_literal(left(given, 100)),
                              quote_literal(left(item, 50)));
            RETURN;
        ELSIF opens = ends THEN
            problem := format('window %s: %s never opens: it ends when it begins', quote_literal(left(given, 100)),
                              quote_literal(left(item, 50)));
            RETURN;
        END IF;
        days := coalesce(nullif(days || coalesce(part[1], ''), ''),
                         CASE WHEN item ~* '^daily' THEN 'Mon-Sun' ELSE last END);
        last := '';
        FOREACH item IN ARRAY regexp_split_to_array(rtrim(days, ','), E'\\s*,\\s*') LOOP
            part := regexp_split_to_array(item, E'\\s*-\\s*');
            a := array_position(names, initcap(left(part[1], 3)));
            b := coalesce(array_position(names, initcap(left(part[2], 3))), a);
            last := concat_ws(',', nullif(last, ''),
                              CASE WHEN a = b THEN names[a] ELSE names[a] || '-' || names[b] END);
            FOR i IN 0 .. (b - a + 7) % 7 LOOP
                h := (a - 1 + i) % 7 * 1440;
                spans := spans + int4multirange(int4range(
                    h + opens, h + CASE WHEN ends > opens THEN ends ELSE ends + 1440 END));
            END LOOP;
        END LOOP;
        said := said || format('%s %s:%s-%s:%s', last, to_char(opens / 60, 'FM00'), to_char(opens % 60, 'FM00'),
                               to_char(ends / 60, 'FM00'), to_char(ends % 60, 'FM00'));
        days := '';
    END LOOP;
    IF days <> '' THEN
        problem := format('window %s: %s has no hours: want Mon-Fri 08:00-20:00', quote_literal(left(given, 100)),
                          rtrim(days, ','));
        RETURN;
    END IF;
    -- What runs over the end of the week begins it.
    spans := spans * int4multirange(int4range(0, week))
        + coalesce((SELECT range_agg(int4range(lower(r) - week, upper(r) - week))
                    FROM unnest(spans * int4multirange(int4range(week, 2 * week))) r), '{}');
    spec := array_to_string(said, ', ') || ' ' || zone;
    IF length(spec) > 500 THEN
        problem := 'window ' || quote_literal(left(given, 100)) || '… has more than 500 characters';
    END IF;
END $$;

COMMENT ON FUNCTION enotify.read_window IS
    'reads a window as people write it, such as Mon-Fri 08:00-20:00, Sat 09:00-12:00 Europe/Berlin. spec: how the '
    'tables have it. spans: its minutes of the week, from Monday 00:00. problem: why it is none; NULL: it is one. It '
    'is open while a clock in the zone shows a time within it';

GRANT EXECUTE ON FUNCTION enotify.read_window TO enotify_admin;
