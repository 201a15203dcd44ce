-- Events: what happened to recipients, batches and clients, for applications to read and for webhooks to push.
--
-- A fact and its event are written in one transaction. The event gets its number later, by number_events(): numbers
-- given by writers would become visible out of order, and whoever read up to 12 would miss an 11 that commits
-- afterwards. A reader that waited until no older transaction is open would wait for any application that keeps one
-- open. Numbers given to what is committed have neither fault: an event is seen once it has its number, in order.

CREATE TABLE enotify.event (
    id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    first     bigint,
    batch_id  bigint,
    at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    client_id int,
    n         int  NOT NULL DEFAULT 1 CHECK (n BETWEEN 1 AND 1000),
    kind      text NOT NULL CHECK (kind IN (
        'delivered', 'deferred', 'bounced', 'suppressed', 'invalid', 'expired', 'unknown', 'cancelled', 'complained',
        'unsubscribed', 'resubscribed', 'batch', 'client', 'alert', 'test')),
    seqs      int[],
    data      jsonb,
    CHECK (seqs IS NULL OR cardinality(seqs) = n)
);
-- To compress the numbers of recipients costs more than to write them.
ALTER TABLE enotify.event ALTER seqs SET STORAGE EXTERNAL;
CREATE UNIQUE INDEX event_first ON enotify.event (first);
CREATE INDEX event_of_client ON enotify.event (client_id, first);
CREATE INDEX event_of_batch ON enotify.event (batch_id);
CREATE INDEX event_new ON enotify.event (id) WHERE first IS NULL;
COMMENT ON TABLE  enotify.event IS
    'what happened, appended. One row holds up to 1,000 events of one kind and batch that one transaction wrote; '
    'events() shows each. It holds no address: that is read from the recipient, and ends with it';
COMMENT ON COLUMN enotify.event.id IS
    'order of writing. What a transaction writes after it has seen another''s commit has a higher one';
COMMENT ON COLUMN enotify.event.first IS
    'number of its first event; the others follow without a gap. NULL: number_events() has not come to it';
COMMENT ON COLUMN enotify.event.batch_id IS 'the batch; NULL: it is about none';
COMMENT ON COLUMN enotify.event.at IS 'when it was recorded';
COMMENT ON COLUMN enotify.event.client_id IS 'the client; NULL: it is about none, and only operators see it';
COMMENT ON COLUMN enotify.event.n IS 'events in the row';
COMMENT ON COLUMN enotify.event.kind IS
    'a state of a recipient; deferred: a try failed and another follows; complained, unsubscribed, resubscribed: '
    'the reader did; batch: its state changed; client: its record changed; alert: see alert_log; test: of webhook '
    'test';
COMMENT ON COLUMN enotify.event.seqs IS 'the recipients; NULL: it is about none';
COMMENT ON COLUMN enotify.event.data IS
    'with recipients, an array with an object for each: class, code, enhanced and reply of the receiver, try and '
    'due_at when deferred; NULL when delivered: the reply is that of the outcome. Without recipients, one object';

CREATE TABLE enotify.event_head (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    next      bigint NOT NULL DEFAULT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint << 11,
    server    timestamptz NOT NULL DEFAULT pg_postmaster_start_time(),
    timeline  text NOT NULL DEFAULT left(pg_walfile_name(pg_current_wal_lsn()), 8),
    place     text NOT NULL DEFAULT ''
) WITH (fillfactor = 20); -- the row is updated several times a second: room for its versions on one page
INSERT INTO enotify.event_head DEFAULT VALUES;
COMMENT ON TABLE  enotify.event_head IS 'one row: the number of the next event. number_events() locks it';
COMMENT ON COLUMN enotify.event_head.singleton IS 'true: there is one row';
COMMENT ON COLUMN enotify.event_head.next IS
    'the number. It begins at the time in milliseconds times 2^11, and again so on each new run of the server and in '
    'each restored database: what has forgotten which numbers were given gives none of them twice. It stays below '
    '2^53, exact in JSON, until 2109';
COMMENT ON COLUMN enotify.event_head.server IS 'start time of the server that gave the last numbers';
COMMENT ON COLUMN enotify.event_head.timeline IS 'its timeline, see timeline()';
COMMENT ON COLUMN enotify.event_head.place IS
    'number of the database, and of this table''s file, at that time: others after a dump was restored into the same '
    'running server';

CREATE TABLE enotify.event_setting (
    singleton boolean  PRIMARY KEY DEFAULT true CHECK (singleton),
    every     boolean  NOT NULL DEFAULT false,
    keep      interval NOT NULL DEFAULT '30 days' CHECK (keep >= interval '1 hour')
);
INSERT INTO enotify.event_setting DEFAULT VALUES;
COMMENT ON TABLE  enotify.event_setting IS 'one row: which events are recorded, and for how long';
COMMENT ON COLUMN enotify.event_setting.singleton IS 'true: there is one row';
COMMENT ON COLUMN enotify.event_setting.every IS
    'true: events of all clients are recorded. false: those of clients in event_client';
COMMENT ON COLUMN enotify.event_setting.keep IS 'how long events are kept';

CREATE TABLE enotify.event_client (
    client_id int PRIMARY KEY REFERENCES enotify.client ON DELETE CASCADE
);
COMMENT ON TABLE  enotify.event_client IS 'clients whose events are recorded';
COMMENT ON COLUMN enotify.event_client.client_id IS 'the client';

CREATE TABLE enotify.event_dropped (
    client_id int PRIMARY KEY,
    upto      bigint NOT NULL
);
COMMENT ON TABLE  enotify.event_dropped IS
    'up to which number events of a client were dropped: a reader that has not come so far is told, and misses nothing '
    'in silence';
COMMENT ON COLUMN enotify.event_dropped.client_id IS 'the client; 0: of events about none';
COMMENT ON COLUMN enotify.event_dropped.upto IS 'the highest number dropped';

CREATE TABLE enotify.webhook (
    id            int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    client_id     int REFERENCES enotify.client ON DELETE CASCADE,
    url           text NOT NULL CHECK (url ~ '^https?://[^\s/]+' AND length(url) <= 2000),
    kinds         text[] NOT NULL DEFAULT '{}',
    secret        bytea NOT NULL CHECK (length(secret) BETWEEN 24 AND 64),
    created_at    timestamptz NOT NULL DEFAULT now(),
    created_by    name NOT NULL DEFAULT session_user,
    after         bigint NOT NULL,
    upto          bigint,
    round         int NOT NULL DEFAULT 0,
    due_at        timestamptz NOT NULL DEFAULT now(),
    failures      int NOT NULL DEFAULT 0,
    failing_since timestamptz,
    failure       text NOT NULL DEFAULT '',
    disabled_at   timestamptz,
    slow          boolean NOT NULL DEFAULT true,
    delivered     bigint NOT NULL DEFAULT 0,
    delivered_at  timestamptz,
    holder        text NOT NULL DEFAULT '',
    held_until    timestamptz NOT NULL DEFAULT '-infinity',
    fence         bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50); -- room on each page for updated rows
CREATE INDEX webhook_client ON enotify.webhook (client_id);
COMMENT ON TABLE  enotify.webhook IS
    'where events are pushed to. A node claims a row for a while before it sends: one node at a time';
COMMENT ON COLUMN enotify.webhook.id IS 'number';
COMMENT ON COLUMN enotify.webhook.client_id IS 'whose events; NULL: those of all clients';
COMMENT ON COLUMN enotify.webhook.url IS 'where to. It may hold a secret of the receiver';
COMMENT ON COLUMN enotify.webhook.kinds IS 'kinds of events; empty: all';
COMMENT ON COLUMN enotify.webhook.secret IS 'key of the signature (HMAC-SHA256)';
COMMENT ON COLUMN enotify.webhook.created_at IS 'when it was added';
COMMENT ON COLUMN enotify.webhook.created_by IS 'login that added it';
COMMENT ON COLUMN enotify.webhook.after IS 'the last event that the receiver has acknowledged or need not get';
COMMENT ON COLUMN enotify.webhook.upto IS
    'the last event of a message that is under way or has failed: a retry carries the same events and the same id. '
    'NULL: none is';
COMMENT ON COLUMN enotify.webhook.round IS
    'counts replays; part of the id of each message, so that a receiver does not take a replayed one for known';
COMMENT ON COLUMN enotify.webhook.due_at IS 'no try before this time';
COMMENT ON COLUMN enotify.webhook.failures IS 'tries that failed since the last success';
COMMENT ON COLUMN enotify.webhook.failing_since IS 'when the first of them failed; NULL: the last try succeeded';
COMMENT ON COLUMN enotify.webhook.failure IS 'why the last one failed; empty: it did not';
COMMENT ON COLUMN enotify.webhook.disabled_at IS
    'since when it gets nothing, after failing for days; NULL: it is enabled';
COMMENT ON COLUMN enotify.webhook.slow IS
    'the last try took long, or there was none yet: slow receivers have a share of the places at a node, and leave the '
    'rest to others';
COMMENT ON COLUMN enotify.webhook.delivered IS 'events that the receiver has acknowledged';
COMMENT ON COLUMN enotify.webhook.delivered_at IS 'when it last acknowledged some; NULL: never';
COMMENT ON COLUMN enotify.webhook.holder IS 'node that claimed it last';
COMMENT ON COLUMN enotify.webhook.held_until IS 'until when no other node may claim it';
COMMENT ON COLUMN enotify.webhook.fence IS 'counts claims: what a node that lost its claim writes is ignored';

GRANT SELECT ON enotify.event, enotify.event_head, enotify.event_setting, enotify.event_client, enotify.event_dropped
    TO enotify_admin, enotify_sender;
GRANT UPDATE (every, keep) ON enotify.event_setting TO enotify_admin;
GRANT INSERT, DELETE ON enotify.event_client TO enotify_admin;
-- Not the secret: whoever steers can make one, and read none.
GRANT SELECT (id, client_id, url, kinds, created_at, created_by, after, upto, round, due_at, failures, failing_since,
              failure, disabled_at, slow, delivered, delivered_at, holder, held_until, fence),
      INSERT (client_id, url, kinds, secret, after),
      UPDATE (after, upto, round, due_at, failures, failing_since, failure, disabled_at, held_until, fence)
    ON enotify.webhook TO enotify_admin;
GRANT DELETE ON enotify.webhook TO enotify_admin;
GRANT SELECT ON enotify.webhook TO enotify_sender;
GRANT UPDATE (after, upto, due_at, failures, failing_since, failure, disabled_at, slow, delivered, delivered_at, holder,
              held_until, fence)
    ON enotify.webhook TO enotify_sender;
