-- A small statement is noted with the likelihood of its size, and then as a whole unit: a thousand calls with a row
-- each would write a thousand rows here. No statement waits for another: with one sum for a login, its COPYs would wait
-- for each other. So what is not committed yet is not seen, and a login may go beyond its limit by that.
CREATE OR REPLACE FUNCTION enotify.note_staged(batches bigint[], counts bigint[], sizes bigint[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    max_recipients constant bigint := 20000000;
    max_octets     constant bigint := 10737418240;
    me      name := enotify.my_login();
    added   bigint := (SELECT sum(c) FROM unnest(counts) c);
    room    bigint := (SELECT sum(s) FROM unnest(sizes) s);
    likely  float := greatest(added / 10000.0, room / 4194304.0);
    all_rows bigint;
    all_room bigint;
    drafts   bigint;
    largest  bigint;
BEGIN
    SELECT coalesce(sum(s.recipients), 0) + added, coalesce(sum(s.octets), 0) + room INTO all_rows, all_room
    FROM enotify.staged_size s WHERE s.login = me;
    IF (all_rows > max_recipients OR all_room > max_octets) AND NOT pg_has_role(me, 'enotify_admin', 'MEMBER')
       AND NOT pg_has_role(me, current_user, 'MEMBER') -- the owner of the schema
    THEN
        SELECT count(DISTINCT s.batch_id), (array_agg(s.batch_id ORDER BY s.recipients DESC))[1] INTO drafts, largest
        FROM (SELECT u.batch_id, sum(u.recipients) AS recipients FROM (
                SELECT s.batch_id, s.recipients FROM enotify.staged_size s WHERE s.login = me
                UNION ALL SELECT * FROM unnest(batches, counts)) u GROUP BY u.batch_id) s;
        RAISE EXCEPTION 'login % would have % in % drafts, where % are allowed', me,
            CASE WHEN all_rows > max_recipients THEN 'about ' || all_rows || ' recipients'
                 ELSE 'recipients of about ' || pg_size_pretty(all_room) END, drafts,
            CASE WHEN all_rows > max_recipients THEN max_recipients::text ELSE pg_size_pretty(max_octets) END
            USING ERRCODE = 'configuration_limit_exceeded',
                  HINT = format('submit drafts, the largest first: SELECT enotify.submit_batch(%s), or have an '
                                'operator cancel it: enotify batch cancel %s; a draft ends after 7 days',
                                largest, largest);
    END IF;
    IF random() < likely THEN
        INSERT INTO enotify.staged_size (batch_id, login, recipients, octets)
        SELECT u.batch, me, u.n / least(likely, 1), u.octets / least(likely, 1)
        FROM unnest(batches, counts, sizes) u (batch, n, octets);
    END IF;
END $$;

COMMENT ON FUNCTION enotify.note_staged IS
    'notes how many rows were staged for these drafts, and their octets, and refuses what is beyond the limit of all '
    'drafts of a login: 20,000,000 recipients or 10 GB. Operators have none';
