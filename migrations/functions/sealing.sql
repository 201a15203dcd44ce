-- after: mailbox, mailbox_problem
--
-- The regular expression here finds nearly every address: one that mailbox() does not change and in which
-- mailbox_problem() finds nothing. It takes 0.5 s for a million addresses, the three of those two functions 1.9 s.
-- What it does not find is left to them. The place is a number, since a million tids take 1 s longer to sort. Of ASCII
-- the key is the lower case of the collation C, which takes half the time of the database's.
CREATE OR REPLACE FUNCTION enotify.sealing(batch bigint)
RETURNS TABLE (problem text, address text, data jsonb, place bigint, key text)
LANGUAGE sql STABLE AS $$
    SELECT problem, CASE WHEN problem IS NULL THEN m ELSE coalesce(address, '') END, data, place,
           CASE WHEN plain THEN NULL WHEN octet_length(m) = length(m) THEN lower(m COLLATE "C")
                ELSE lower(coalesce(m, '')) END COLLATE "C"
    FROM (SELECT m, address, data, place, plain,
                 CASE WHEN jsonb_typeof(data) <> 'object' THEN 'data is not a JSON object'
                      WHEN NOT plain THEN enotify.mailbox_problem(m) END AS problem
          FROM (SELECT CASE WHEN plain THEN address ELSE enotify.mailbox(address) END AS m, address, data, place, plain
                FROM (SELECT r.address, r.data, row_number() OVER (ORDER BY r.ctid) AS place,
                             coalesce(octet_length(r.address) <= 64 AND r.address
                                 ~ E'^[A-Za-z0-9_+]+(?:[.-][A-Za-z0-9_+]+)*@(?:[a-z0-9]+[.-])*[a-z0-9]+[.][a-z]+$',
                                 false) AS plain
                      FROM enotify.recipient_in r WHERE r.batch_id = $1 OFFSET 0) r OFFSET 0) s OFFSET 0) s
$$;

COMMENT ON FUNCTION enotify.sealing IS
    'the staged rows of a batch in any order, each address checked: normalised, or as it was staged where there is a '
    'problem. Of rows with the same key the first place counts; a key of NULL is lower(address COLLATE "C")';
