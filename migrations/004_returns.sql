-- What replies and returned mail lead to: suppressed addresses, full mailboxes, refused clients, reports.

CREATE TABLE enotify.suppression (
    address   text NOT NULL CHECK (address = lower(address) AND length(address) <= 320),
    client_id int REFERENCES enotify.client ON DELETE CASCADE,
    cause     text NOT NULL CHECK (cause IN ('no_such_user', 'mailbox_full', 'complaint', 'unsubscribe', 'operator')),
    until     timestamptz,
    added_at  timestamptz NOT NULL DEFAULT now(),
    added_by  name NOT NULL DEFAULT session_user,
    batch_id  bigint,
    seq       int,
    note      text NOT NULL DEFAULT '',
    before    text NOT NULL DEFAULT '' CHECK (before IN ('', 'operator')),
    UNIQUE NULLS NOT DISTINCT (address, client_id)
);
-- A batch is compared with the list of its client, however many addresses others suppress.
CREATE INDEX suppression_client ON enotify.suppression (client_id);
COMMENT ON TABLE  enotify.suppression IS
    'addresses that get no mail: checked when a batch is submitted, and again when recipients are read for sending';
COMMENT ON COLUMN enotify.suppression.address IS
    'normalised and lower case; or of a forgotten address what hashed_address() makes of it';
COMMENT ON COLUMN enotify.suppression.client_id IS 'the client it holds for; NULL: all clients';
COMMENT ON COLUMN enotify.suppression.cause IS 'why it is suppressed';
COMMENT ON COLUMN enotify.suppression.until IS 'when it ends by itself; NULL: it stays until someone removes it';
COMMENT ON COLUMN enotify.suppression.added_at IS 'when it was added';
COMMENT ON COLUMN enotify.suppression.added_by IS 'login that added it';
COMMENT ON COLUMN enotify.suppression.batch_id IS 'batch of the reply that caused it; NULL: no reply did';
COMMENT ON COLUMN enotify.suppression.seq IS 'recipient of the reply that caused it';
COMMENT ON COLUMN enotify.suppression.note IS 'the reply, or the operator''s note';
COMMENT ON COLUMN enotify.suppression.before IS
    'operator: an operator had suppressed the address before its reader unsubscribed. It stays suppressed when the '
    'reader subscribes again';

CREATE TABLE enotify.counted_reply (
    address  text NOT NULL,
    class    enotify.reply_class NOT NULL,
    first_at timestamptz NOT NULL,
    last_at  timestamptz NOT NULL,
    replies  int NOT NULL,
    PRIMARY KEY (address, class)
);
COMMENT ON TABLE  enotify.counted_reply IS
    'replies that suppress an address only when they repeat; a delivery or a suppression removes the row';
COMMENT ON COLUMN enotify.counted_reply.address IS 'normalised and lower case';
COMMENT ON COLUMN enotify.counted_reply.class IS
    'mailbox_full, or no_such_user of a site that also says so of addresses which exist';
COMMENT ON COLUMN enotify.counted_reply.first_at IS 'first such reply since the last delivery';
COMMENT ON COLUMN enotify.counted_reply.last_at IS
    'last such reply; a reply no newer than this one is not counted again';
COMMENT ON COLUMN enotify.counted_reply.replies IS 'such replies since first_at';

CREATE TABLE enotify.suppression_due (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    batch_id bigint NOT NULL,
    seq      int NOT NULL,
    at       timestamptz NOT NULL,
    reply    text NOT NULL,
    class    enotify.reply_class NOT NULL,
    replies  int NOT NULL,
    span     interval NOT NULL,
    forget   interval NOT NULL,
    lasts    interval NOT NULL
);
COMMENT ON TABLE  enotify.suppression_due IS
    'what recorded replies still have to do to their addresses: another transaction had one of them locked. A node '
    'does it when that has ended';
COMMENT ON COLUMN enotify.suppression_due.id IS 'number, in the order of the replies';
COMMENT ON COLUMN enotify.suppression_due.batch_id IS 'batch of the reply';
COMMENT ON COLUMN enotify.suppression_due.seq IS 'recipient of the reply';
COMMENT ON COLUMN enotify.suppression_due.at IS 'when the reply came';
COMMENT ON COLUMN enotify.suppression_due.reply IS 'its text';
COMMENT ON COLUMN enotify.suppression_due.class IS 'its class';
COMMENT ON COLUMN enotify.suppression_due.replies IS 'after how many such replies the address is suppressed';
COMMENT ON COLUMN enotify.suppression_due.span IS 'at least, from the first of them to the last';
COMMENT ON COLUMN enotify.suppression_due.forget IS 'without such a reply, after which they are counted from the start';
COMMENT ON COLUMN enotify.suppression_due.lasts IS 'how long the suppression lasts; 0: for good';

CREATE TABLE enotify.auth_refusal (
    client_id int  NOT NULL REFERENCES enotify.client ON DELETE CASCADE,
    site      text NOT NULL,
    first_at  timestamptz NOT NULL,
    last_at   timestamptz NOT NULL,
    hits      int  NOT NULL,
    batch_id  bigint NOT NULL,
    seq       int  NOT NULL,
    code      text NOT NULL,
    reply     text NOT NULL,
    PRIMARY KEY (client_id, site)
);
COMMENT ON TABLE  enotify.auth_refusal IS
    'sites that refuse a client''s mail as not authorised: the evidence for blocking its batches';
COMMENT ON COLUMN enotify.auth_refusal.client_id IS 'the client';
COMMENT ON COLUMN enotify.auth_refusal.site IS 'the site that refuses';
COMMENT ON COLUMN enotify.auth_refusal.first_at IS
    'first refusal of this spell; a spell ends after an hour without a refusal';
COMMENT ON COLUMN enotify.auth_refusal.last_at IS 'last refusal; a refusal no newer than this one is not counted again';
COMMENT ON COLUMN enotify.auth_refusal.hits IS 'refusals since first_at';
COMMENT ON COLUMN enotify.auth_refusal.batch_id IS 'batch of the first refusal';
COMMENT ON COLUMN enotify.auth_refusal.seq IS 'recipient of the first refusal';
COMMENT ON COLUMN enotify.auth_refusal.code IS 'reply code and enhanced status code of the first refusal';
COMMENT ON COLUMN enotify.auth_refusal.reply IS 'text of the first refusal';

CREATE TABLE enotify.report (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    fingerprint bytea  NOT NULL UNIQUE CHECK (length(fingerprint) = 32),
    batch_id    bigint NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now(),
    seq         int    NOT NULL,
    code        smallint,
    signed      boolean NOT NULL,
    kind        text   NOT NULL
        CHECK (kind IN ('bounce', 'expired', 'delay', 'complaint', 'autoreply', 'challenge', 'other')),
    was         enotify.recipient_state,
    class       enotify.reply_class,
    enhanced    text,
    reply       text,
    message_id  text   NOT NULL,
    via         text   NOT NULL CHECK (via IN ('listener', 'ingest')),
    raw         bytea CHECK (length(raw) <= 1048576)
);
CREATE INDEX report_recipient ON enotify.report (batch_id, seq);
CREATE INDEX report_received ON enotify.report (received_at);
CREATE INDEX report_raw ON enotify.report (received_at) WHERE raw IS NOT NULL;
COMMENT ON TABLE  enotify.report IS
    'returned mail about a recipient. The same report received twice is one row. The mail itself is kept for 30 days';
COMMENT ON COLUMN enotify.report.id IS 'number';
COMMENT ON COLUMN enotify.report.fingerprint IS
    'SHA-256 of the recipient, the kind, the codes and the number of requeues of the batch. Not of the mail: each '
    'relay changes that';
COMMENT ON COLUMN enotify.report.batch_id IS 'the batch';
COMMENT ON COLUMN enotify.report.received_at IS 'when it was first recorded';
COMMENT ON COLUMN enotify.report.seq IS 'the recipient';
COMMENT ON COLUMN enotify.report.code IS 'SMTP reply code; NULL: the report has none';
COMMENT ON COLUMN enotify.report.signed IS
    'true: it was sent to, or quotes, a return path that we signed. false: it was matched by Message-ID or address, '
    'which anybody can forge';
COMMENT ON COLUMN enotify.report.kind IS
    'bounce: refused. expired: given up because no host answered. delay: still being tried. complaint: marked as '
    'spam. autoreply, challenge, other: no consequence for the recipient';
COMMENT ON COLUMN enotify.report.was IS 'the recipient''s state that this report changed; NULL: it changed nothing';
COMMENT ON COLUMN enotify.report.class IS 'why; NULL: the report gives no reason';
COMMENT ON COLUMN enotify.report.enhanced IS 'enhanced status code (RFC 3463); NULL: none';
COMMENT ON COLUMN enotify.report.reply IS 'text of the receiver''s reply';
COMMENT ON COLUMN enotify.report.message_id IS
    'Message-ID of the returned mail, else a hash of it: reading a copy again after a requeue changes nothing';
COMMENT ON COLUMN enotify.report.via IS 'listener: received by SMTP or LMTP. ingest: read by enotify bounce ingest';
COMMENT ON COLUMN enotify.report.raw IS 'the mail, at most its first MiB; NULL after 30 days';

-- Without a reference to the client, whose row a transaction locks first or not at all.
CREATE TABLE enotify.complaint_level (
    client_id  int PRIMARY KEY,
    level      smallint NOT NULL DEFAULT 0 CHECK (level BETWEEN 0 AND 2),
    alerted_at timestamptz
);
COMMENT ON TABLE  enotify.complaint_level IS
    'clients whose mail was complained about, and the threshold that an alert was raised for';
COMMENT ON COLUMN enotify.complaint_level.client_id IS 'the client';
COMMENT ON COLUMN enotify.complaint_level.level IS
    'highest rate of complaints alerted in the last seven days. 0: under 0.1 %. 1: from 0.1 % on. 2: from 0.3 % on';
COMMENT ON COLUMN enotify.complaint_level.alerted_at IS 'last alert; NULL: none';

-- The keys belong to the cluster, not to a node: a bounce may come in at another node than the one that sent.
CREATE TABLE enotify.token_key (
    id         text PRIMARY KEY CHECK (id ~ '^[a-z0-9]+$' AND length(id) <= 4),
    secret     bytea NOT NULL CHECK (length(secret) >= 32),
    created_at timestamptz NOT NULL DEFAULT now(),
    retired_at timestamptz
);
COMMENT ON TABLE  enotify.token_key IS
    'keys that sign return paths and unsubscribe addresses. The newest key signs; every key not retired verifies';
COMMENT ON COLUMN enotify.token_key.id IS 'its name in a token';
COMMENT ON COLUMN enotify.token_key.secret IS 'key of HMAC-SHA256';
COMMENT ON COLUMN enotify.token_key.created_at IS 'when it was made';
COMMENT ON COLUMN enotify.token_key.retired_at IS 'since when its signatures are refused; NULL: they are accepted';

-- HMAC-SHA256 takes its key twice, each time with another constant added (RFC 2104).
CREATE TABLE enotify.hash_key (
    singleton  boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    inner_pad  bytea NOT NULL CHECK (length(inner_pad) = 64),
    outer_pad  bytea NOT NULL CHECK (length(outer_pad) = 64),
    created_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE  enotify.hash_key IS
    'key under which suppressions of forgotten addresses are kept; no row: there are none. Only functions read it';
COMMENT ON COLUMN enotify.hash_key.singleton IS 'true: there is one row';
COMMENT ON COLUMN enotify.hash_key.inner_pad IS 'the key, for the inner hash';
COMMENT ON COLUMN enotify.hash_key.outer_pad IS 'the key, for the outer hash';
COMMENT ON COLUMN enotify.hash_key.created_at IS 'when it was made';

CREATE TABLE enotify.retention (
    kind       text PRIMARY KEY,
    keep       interval CHECK (keep >= interval '1 day'),
    about      text NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now(),
    updated_by name NOT NULL DEFAULT session_user
);
INSERT INTO enotify.retention (kind, keep, about) VALUES
    ('recipients', '400 days',
     'content, recipients, outcomes and tries of a batch, once it has finished; its counts stay'),
    ('tries', '90 days', 'the log of tries, of finished batches'),
    ('mails', '30 days', 'returned mail, in full'),
    ('reports', '400 days', 'what was read in returned mail'),
    ('replies', '400 days', 'counted replies of addresses, since the last one'),
    ('suppressions', NULL, 'suppressed addresses, from the day they were added, or ended'),
    ('preflights', '400 days', 'reports of enotify preflight'),
    ('verdicts', '400 days', 'results of the guard that are not current any more'),
    ('alerts', '30 days', 'alerts');
COMMENT ON TABLE  enotify.retention IS
    'how long each kind of data is kept; carried out by the nodes, in small steps: retain(). enotify retention '
    'changes it';
COMMENT ON COLUMN enotify.retention.kind IS 'the kind of data';
COMMENT ON COLUMN enotify.retention.keep IS 'how long; NULL: for good';
COMMENT ON COLUMN enotify.retention.about IS 'what belongs to it, for people';
COMMENT ON COLUMN enotify.retention.updated_at IS 'when it was set';
COMMENT ON COLUMN enotify.retention.updated_by IS 'login that set it';
