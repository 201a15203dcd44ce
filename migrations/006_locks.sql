-- The locks of the engine. All of them are named here and in queue/lock.go, and nowhere else.
--
-- They are rows, not advisory locks: anybody who may connect to the database can take an advisory lock, and its number
-- shows in pg_locks. These rows can be locked only by enotify_sender and by functions that run as the owner, none of
-- which an application may call. So no transaction of an application can hold a lock that the engine waits for here.

CREATE TABLE enotify.engine_lock (
    kind  text     NOT NULL CHECK (kind IN ('turn', 'survey', 'node', 'results', 'report')),
    slot  smallint NOT NULL,
    shard smallint NOT NULL DEFAULT 0,
    PRIMARY KEY (kind, slot, shard)
);
COMMENT ON TABLE  enotify.engine_lock IS
    'rows that the engine locks until the end of a transaction; nothing is stored in them';
COMMENT ON COLUMN enotify.engine_lock.kind IS
    'turn: which batch has the turn. survey: which domain is in which lease group. node: intents of a node, against a '
    'takeover of its groups. results: outcomes of a batch, against counting them or taking them back. report: '
    'reports about one recipient, one after the other';
COMMENT ON COLUMN enotify.engine_lock.slot IS
    'what is locked, by its number modulo the slots of the kind: a node, a batch, a recipient. Two that share a slot '
    'wait for each other, which is harmless';
COMMENT ON COLUMN enotify.engine_lock.shard IS
    'of results: a writer of outcomes locks the shard of its session, so that writers do not wait for each other; a '
    'transaction that counts outcomes or takes them back locks all shards. Readers'' locks (FOR SHARE) would let a '
    'steady stream of writers keep it out for ever';

INSERT INTO enotify.engine_lock (kind, slot) VALUES ('turn', 0), ('survey', 0);
INSERT INTO enotify.engine_lock (kind, slot)
    SELECT k, s FROM unnest('{node,report}'::text[]) k, generate_series(0, 63) s;
INSERT INTO enotify.engine_lock (kind, slot, shard)
    SELECT 'results', s, h FROM generate_series(0, 15) s, generate_series(0, 15) h;
