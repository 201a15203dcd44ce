-- after: mailbox, mailbox_problem
CREATE OR REPLACE FUNCTION enotify.sealing(batch bigint)
RETURNS TABLE (key text, problem text, m text, address text, data jsonb, place tid)
LANGUAGE sql STABLE AS $$
    SELECT DISTINCT ON (key) key, problem, m, address, data, place
    FROM (SELECT lower(coalesce(m, '')) COLLATE "C" AS key, m, address, data, ctid AS place,
                 CASE WHEN jsonb_typeof(data) <> 'object' THEN 'data is not a JSON object'
                      ELSE enotify.mailbox_problem(m) END AS problem
          FROM (SELECT enotify.mailbox(r.address) AS m, r.address, r.data, r.ctid
                FROM enotify.recipient_in r WHERE r.batch_id = $1 OFFSET 0) s) s
    ORDER BY key, place
$$;

COMMENT ON FUNCTION enotify.sealing IS
    'the staged rows of a batch, each address normalised and checked. Of equal addresses the first row is kept';
