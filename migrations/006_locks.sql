-- The locks of the engine, in one place: these rows, and the functions lock_…, try_lock_results and write_results,
-- which lock them. The documentation of package queue says in which order.
--
-- They are rows, not advisory locks: every login that can connect to the database can take an advisory lock, and
-- pg_locks shows the numbers of the locks that are held. The functions belong to enotify_sender and to functions that
-- operators call. An application may call none of them: no transaction of an application holds a lock that the engine
-- waits for here.
--
-- Only FOR UPDATE, never FOR SHARE: sessions that share a row lock let others join while a session waits for it alone,
-- so that a steady stream of them would keep it out for ever.
--
-- One more lock of this kind is the row of enotify.client (FOR NO KEY UPDATE), which foreign keys of applications'
-- batches do not conflict with. Migrations have one of their own, on enotify.schema_version.

CREATE TABLE enotify.engine_lock (
    kind  text     NOT NULL CHECK (kind IN ('join', 'turn', 'survey', 'node', 'results', 'report', 'tls_report')),
    slot  smallint NOT NULL,
    shard smallint NOT NULL DEFAULT 0,
    PRIMARY KEY (kind, slot, shard)
);
COMMENT ON TABLE  enotify.engine_lock IS
    'rows that the engine locks until the end of a transaction; nothing is stored in them';
COMMENT ON COLUMN enotify.engine_lock.kind IS
    'what the lock protects, see the functions of these names. join: lock_join(). turn: lock_turn(). survey: '
    'lock_survey(). node: lock_nodes(). results: write_results(), lock_results(). report: lock_report(). tls_report: '
    'lock_tls_reports()';
COMMENT ON COLUMN enotify.engine_lock.slot IS
    'which of the kind: a node''s or batch''s number modulo the slots there are, a hash of a recipient. Two that share '
    'a slot wait for each other, which is harmless';
COMMENT ON COLUMN enotify.engine_lock.shard IS
    'of results: a writer of outcomes locks one shard, so that writers hardly ever wait for each other; lock_results() '
    'locks all shards. Else 0';

INSERT INTO enotify.engine_lock (kind, slot) VALUES ('join', 0), ('turn', 0), ('survey', 0), ('tls_report', 0);
INSERT INTO enotify.engine_lock (kind, slot)
    SELECT k, s FROM unnest('{node,report}'::text[]) k, generate_series(0, 63) s;
INSERT INTO enotify.engine_lock (kind, slot, shard)
    SELECT 'results', s, h FROM generate_series(0, 63) s, generate_series(0, 15) h;
