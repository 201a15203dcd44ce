-- Punycode of one label, with the variables and steps of RFC 3492 §6.3. Only labels with a letter outside ASCII come
-- here.
CREATE OR REPLACE FUNCTION enotify.punycode(label text) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    cps   int[] := ARRAY(SELECT ascii(c) FROM regexp_split_to_table(label, '') WITH ORDINALITY AS t(c, i) ORDER BY i);
    out   text  := '';
    n     int   := 128;
    delta bigint := 0;
    bias  int   := 72;
    h     int;  b int;  m int;  c int;  q bigint;  k int;  t int;  first boolean := true;
BEGIN
    FOREACH c IN ARRAY cps LOOP
        IF c < 128 THEN out := out || chr(c); END IF;
    END LOOP;
    b := length(out);
    h := b;
    IF b > 0 THEN out := out || '-'; END IF;
    WHILE h < cardinality(cps) LOOP
        SELECT min(x) INTO m FROM unnest(cps) x WHERE x >= n;
        delta := delta + (m - n)::bigint * (h + 1);
        n := m;
        FOREACH c IN ARRAY cps LOOP
            IF c < n THEN
                delta := delta + 1;
            ELSIF c = n THEN
                q := delta;
                k := 36;
                LOOP
                    t := least(greatest(k - bias, 1), 26);
                    EXIT WHEN q < t;
                    out := out || substr('abcdefghijklmnopqrstuvwxyz0123456789', (t + (q - t) % (36 - t))::int + 1, 1);
                    q := (q - t) / (36 - t);
                    k := k + 36;
                END LOOP;
                out := out || substr('abcdefghijklmnopqrstuvwxyz0123456789', q::int + 1, 1);
                h := h + 1;
                q := CASE WHEN first THEN delta / 700 ELSE delta / 2 END; -- adapt(), §6.1
                first := false;
                q := q + q / h;
                k := 0;
                WHILE q > 455 LOOP
                    q := q / 35;
                    k := k + 36;
                END LOOP;
                bias := k + (36 * q / (q + 38))::int;
                delta := 0;
            END IF;
        END LOOP;
        delta := delta + 1;
        n := n + 1;
    END LOOP;
    RETURN out;
END $$;

COMMENT ON FUNCTION enotify.punycode IS 'Punycode of one label, RFC 3492 §6.3';

GRANT EXECUTE ON FUNCTION enotify.punycode TO enotify_app, enotify_admin, enotify_sender;
