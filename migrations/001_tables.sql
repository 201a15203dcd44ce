-- The nouns of enotify. Columns stand widest first where a table has a row per recipient, so that no byte is
-- lost to alignment. What each is for is said in its COMMENT: \d+ enotify.batch in psql.

-- Roles belong to the whole cluster: another database of it may have made them already.
DO $$
DECLARE r text;
BEGIN
    FOREACH r IN ARRAY ARRAY['enotify_app', 'enotify_admin', 'enotify_sender'] LOOP
        BEGIN
            EXECUTE format('CREATE ROLE %I NOLOGIN', r);
        EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
        END;
    END LOOP;
END $$;

CREATE TYPE enotify.batch_state AS ENUM
    ('draft', 'queued', 'sending', 'retrying', 'paused', 'blocked', 'done', 'cancelled');
CREATE TYPE enotify.recipient_state AS ENUM
    ('delivered', 'bounced', 'suppressed', 'invalid', 'expired', 'unknown', 'cancelled');
CREATE TYPE enotify.reply_class AS ENUM
    ('offline', 'throttled', 'no_such_user', 'mailbox_full', 'auth_rejected', 'spam_block', 'policy', 'content', 'other', 'not_begun');
COMMENT ON TYPE enotify.batch_state IS 'where a batch stands; the ways between the states are in enotify.batch_moves()';
COMMENT ON TYPE enotify.recipient_state IS 'final states of a recipient; those that wait (pending, sending, deferred) have no outcome yet';
COMMENT ON TYPE enotify.reply_class IS 'why a receiver turned a message away';

-- Whom we send for.

CREATE TABLE enotify.client (
    id          int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    domain      text NOT NULL UNIQUE CHECK (domain = lower(domain) AND domain ~ '^[a-z0-9_-]+(\.[a-z0-9_-]+)+$' AND length(domain) <= 253),
    return_path text CHECK (return_path !~ '[\s<>]' AND return_path ~ '^[^@]+@[^@]+$' AND length(return_path) <= 254),
    created_at  timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE  enotify.client IS 'a domain we send for; the domain of every From: address is one of these';
COMMENT ON COLUMN enotify.client.id IS 'number';
COMMENT ON COLUMN enotify.client.domain IS 'lower case, A-labels, no trailing dot';
COMMENT ON COLUMN enotify.client.return_path IS 'envelope sender of all its mail; NULL: the From: address';
COMMENT ON COLUMN enotify.client.created_at IS 'when it was registered';

CREATE TABLE enotify.client_login (
    client_id int  NOT NULL REFERENCES enotify.client ON DELETE CASCADE,
    login     name NOT NULL,
    PRIMARY KEY (client_id, login)
);
CREATE INDEX client_login_login ON enotify.client_login (login);
COMMENT ON TABLE  enotify.client_login IS 'ties a client to logins: only they send for it and see its batches, and they do so for no other client';
COMMENT ON COLUMN enotify.client_login.client_id IS 'the client';
COMMENT ON COLUMN enotify.client_login.login IS 'a PostgreSQL login (session_user)';

-- What is to be sent.

CREATE TABLE enotify.batch (
    id               bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    client_id        int  NOT NULL REFERENCES enotify.client,
    idem_key         text NOT NULL CHECK (length(idem_key) BETWEEN 1 AND 200),
    state            enotify.batch_state NOT NULL DEFAULT 'draft',
    reason           text NOT NULL DEFAULT '',
    priority         int  NOT NULL DEFAULT 0,
    from_address     text NOT NULL CHECK (from_address !~ '[\r\n]' AND length(from_address) <= 254),
    from_name        text NOT NULL DEFAULT '' CHECK (from_name !~ '[\r\n]' AND length(from_name) <= 200),
    reply_to         text NOT NULL DEFAULT '' CHECK (reply_to !~ '[\r\n]' AND length(reply_to) <= 254),
    subject          text NOT NULL CHECK (subject !~ '[\r\n]' AND length(subject) <= 900),
    list_unsubscribe text NOT NULL DEFAULT ''
        CHECK (list_unsubscribe !~ '[\s<>]' AND (list_unsubscribe = '' OR list_unsubscribe ~ '^(https|mailto):') AND length(list_unsubscribe) <= 800),
    body_text        text NOT NULL DEFAULT '',
    body_html        text NOT NULL DEFAULT '',
    on_unknown       text NOT NULL DEFAULT 'hold' CHECK (on_unknown IN ('hold', 'resend')),
    staged           int  NOT NULL DEFAULT 0,
    duplicates       int  NOT NULL DEFAULT 0,
    total            int  NOT NULL DEFAULT 0,
    sendable         int  NOT NULL DEFAULT 0,
    created_by       name NOT NULL DEFAULT session_user,
    created_at       timestamptz NOT NULL DEFAULT now(),
    submitted_at     timestamptz,
    not_before       timestamptz,
    expires_at       timestamptz NOT NULL DEFAULT now() + interval '3 days',
    started_at       timestamptz,
    finished_at      timestamptz,
    UNIQUE (client_id, idem_key)
) WITH (fillfactor = 70);
CREATE UNIQUE INDEX batch_one_sending ON enotify.batch (state) WHERE state = 'sending';
CREATE INDEX batch_open ON enotify.batch (priority DESC, id) WHERE finished_at IS NULL;
COMMENT ON TABLE  enotify.batch IS 'one notification to many recipients';
COMMENT ON INDEX  enotify.batch_one_sending IS 'one batch at a time';
COMMENT ON COLUMN enotify.batch.id IS 'number, also part of every Message-ID';
COMMENT ON COLUMN enotify.batch.client_id IS 'whom it is sent for: the domain of from_address';
COMMENT ON COLUMN enotify.batch.idem_key IS 'the application''s name for it; a second create_batch with the same key gives the same batch';
COMMENT ON COLUMN enotify.batch.state IS 'draft while rows are staged; see enotify.batch_moves()';
COMMENT ON COLUMN enotify.batch.reason IS 'why it is paused, blocked, cancelled or waits; for people';
COMMENT ON COLUMN enotify.batch.priority IS 'the higher takes the turn at once; 0 is ordinary';
COMMENT ON COLUMN enotify.batch.from_address IS 'address of the From: field';
COMMENT ON COLUMN enotify.batch.from_name IS 'display name of the From: field';
COMMENT ON COLUMN enotify.batch.reply_to IS 'address of the Reply-To: field; empty: none';
COMMENT ON COLUMN enotify.batch.subject IS 'may hold merge fields such as {{.name}}';
COMMENT ON COLUMN enotify.batch.list_unsubscribe IS 'https: or mailto: URI of the List-Unsubscribe: field (RFC 2369); may hold merge fields';
COMMENT ON COLUMN enotify.batch.body_text IS 'text/plain body; may hold merge fields; empty: none';
COMMENT ON COLUMN enotify.batch.body_html IS 'text/html body; may hold merge fields; empty: none';
COMMENT ON COLUMN enotify.batch.on_unknown IS 'what happens to a recipient in doubt after a crash: hold or resend';
COMMENT ON COLUMN enotify.batch.staged IS 'rows of recipient_in that the seal found';
COMMENT ON COLUMN enotify.batch.duplicates IS 'staged rows that repeated an address';
COMMENT ON COLUMN enotify.batch.total IS 'recipients sealed = staged - duplicates';
COMMENT ON COLUMN enotify.batch.sendable IS 'recipients that the seal did not find invalid or suppressed: seq 1 to sendable are the ranges of batch_domain';
COMMENT ON COLUMN enotify.batch.created_by IS 'login that created it';
COMMENT ON COLUMN enotify.batch.created_at IS 'also the Date: of its messages';
COMMENT ON COLUMN enotify.batch.submitted_at IS 'when it was sealed';
COMMENT ON COLUMN enotify.batch.not_before IS 'takes no turn before this time';
COMMENT ON COLUMN enotify.batch.expires_at IS 'no attempt begins after this time';
COMMENT ON COLUMN enotify.batch.started_at IS 'when it first took the turn';
COMMENT ON COLUMN enotify.batch.finished_at IS 'when its last recipient got an outcome; NULL while anything may still happen';

CREATE TABLE enotify.attachment (
    batch_id     bigint NOT NULL REFERENCES enotify.batch ON DELETE CASCADE,
    n            int    NOT NULL,
    filename     text   NOT NULL CHECK (filename !~ '[\r\n"\\/]' AND length(filename) BETWEEN 1 AND 200),
    content_type text   NOT NULL DEFAULT '' CHECK (content_type = '' OR content_type ~ '^[A-Za-z0-9.+-]+/[A-Za-z0-9.+-]+$'),
    content      bytea  NOT NULL CHECK (length(content) <= 26214400),
    PRIMARY KEY (batch_id, n)
);
COMMENT ON TABLE  enotify.attachment IS 'files that every message of a batch carries';
COMMENT ON COLUMN enotify.attachment.batch_id IS 'the batch';
COMMENT ON COLUMN enotify.attachment.n IS 'order, from 1';
COMMENT ON COLUMN enotify.attachment.filename IS 'name the reader sees';
COMMENT ON COLUMN enotify.attachment.content_type IS 'media type; empty: by the file name';
COMMENT ON COLUMN enotify.attachment.content IS 'the file, at most 25 MiB';

CREATE TABLE enotify.batch_log (
    batch_id   bigint NOT NULL REFERENCES enotify.batch ON DELETE CASCADE,
    at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    from_state enotify.batch_state,
    to_state   enotify.batch_state NOT NULL,
    by         name NOT NULL DEFAULT session_user,
    reason     text NOT NULL
);
CREATE INDEX batch_log_batch ON enotify.batch_log (batch_id, at);
COMMENT ON TABLE  enotify.batch_log IS 'every change of state of every batch, written by a trigger';
COMMENT ON COLUMN enotify.batch_log.batch_id IS 'the batch';
COMMENT ON COLUMN enotify.batch_log.at IS 'when';
COMMENT ON COLUMN enotify.batch_log.from_state IS 'NULL when it was created';
COMMENT ON COLUMN enotify.batch_log.to_state IS 'the new state';
COMMENT ON COLUMN enotify.batch_log.by IS 'login that did it';
COMMENT ON COLUMN enotify.batch_log.reason IS 'why, in words';

-- To whom.

CREATE TABLE enotify.recipient_in (
    batch_id bigint NOT NULL,
    address  text,
    data     jsonb,
    owner    oid NOT NULL DEFAULT session_user::regrole::oid
);
CREATE INDEX recipient_in_batch ON enotify.recipient_in (batch_id);
COMMENT ON TABLE  enotify.recipient_in IS 'staging: COPY enotify.recipient_in (batch_id, address, data) while the batch is a draft; emptied by submit_batch';
COMMENT ON COLUMN enotify.recipient_in.batch_id IS 'a batch in state draft';
COMMENT ON COLUMN enotify.recipient_in.address IS 'as the application has it; a bad one becomes an outcome ''invalid'', never an error';
COMMENT ON COLUMN enotify.recipient_in.data IS 'merge data, a JSON object; NULL: none';
COMMENT ON COLUMN enotify.recipient_in.owner IS 'login that staged the row';

CREATE TABLE enotify.domain (
    id   int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE,
    grp  smallint NOT NULL CHECK (grp BETWEEN 0 AND 63)
);
COMMENT ON TABLE  enotify.domain IS 'every recipient domain ever seen';
COMMENT ON COLUMN enotify.domain.id IS 'number';
COMMENT ON COLUMN enotify.domain.name IS 'lower case, A-labels';
COMMENT ON COLUMN enotify.domain.grp IS 'lease group: one node at a time sends to the domains of a group';

CREATE TABLE enotify.recipient (
    batch_id  bigint NOT NULL,
    seq       int    NOT NULL,
    domain_id int,
    address   text   NOT NULL,
    data      jsonb,
    PRIMARY KEY (batch_id, seq)
);
COMMENT ON TABLE  enotify.recipient IS 'sealed recipients, numbered in domain order so that a domain of a batch is a range of seq; those never to be sent to come last. Never changes';
COMMENT ON COLUMN enotify.recipient.batch_id IS 'the batch';
COMMENT ON COLUMN enotify.recipient.seq IS 'number within the batch, from 1';
COMMENT ON COLUMN enotify.recipient.domain_id IS 'recipient domain; NULL when the address is invalid';
COMMENT ON COLUMN enotify.recipient.address IS 'normalised; as staged when it is invalid';
COMMENT ON COLUMN enotify.recipient.data IS 'merge data';

CREATE TABLE enotify.batch_domain (
    batch_id   bigint NOT NULL,
    domain_id  int    NOT NULL,
    first_seq  int    NOT NULL,
    last_seq   int    NOT NULL,
    intent_seq int    NOT NULL,
    grp        smallint NOT NULL,
    PRIMARY KEY (batch_id, domain_id),
    CHECK (intent_seq BETWEEN first_seq - 1 AND last_seq)
) WITH (fillfactor = 50);
COMMENT ON TABLE  enotify.batch_domain IS 'progress of a batch in one recipient domain: a row here, not a flag per recipient. Half-full pages keep its updates in place (HOT)';
COMMENT ON COLUMN enotify.batch_domain.batch_id IS 'the batch';
COMMENT ON COLUMN enotify.batch_domain.domain_id IS 'the recipient domain';
COMMENT ON COLUMN enotify.batch_domain.first_seq IS 'first recipient of the range';
COMMENT ON COLUMN enotify.batch_domain.last_seq IS 'last recipient of the range';
COMMENT ON COLUMN enotify.batch_domain.intent_seq IS 'write-ahead intent: above it nothing has been sent; up to it, who has no outcome may have been sent to';
COMMENT ON COLUMN enotify.batch_domain.grp IS 'lease group of the domain';

-- What came of it.

CREATE TABLE enotify.outcome (
    batch_id bigint NOT NULL,
    at       timestamptz NOT NULL DEFAULT now(),
    seq      int    NOT NULL,
    state    enotify.recipient_state NOT NULL,
    class    enotify.reply_class,
    code     smallint,
    enhanced text,
    reply    text,
    PRIMARY KEY (batch_id, seq)
);
COMMENT ON TABLE  enotify.outcome IS 'the final result of a recipient, at most one each; appended, changed only by a late fact about one that was unknown';
COMMENT ON COLUMN enotify.outcome.batch_id IS 'the batch';
COMMENT ON COLUMN enotify.outcome.at IS 'when the receiver answered, or when it was decided';
COMMENT ON COLUMN enotify.outcome.seq IS 'the recipient';
COMMENT ON COLUMN enotify.outcome.state IS 'the result';
COMMENT ON COLUMN enotify.outcome.class IS 'why it was refused; NULL when it was not';
COMMENT ON COLUMN enotify.outcome.code IS 'SMTP reply code (RFC 5321 §4.2); NULL: the receiver said nothing';
COMMENT ON COLUMN enotify.outcome.enhanced IS 'enhanced status code (RFC 3463)';
COMMENT ON COLUMN enotify.outcome.reply IS 'what the receiver said, or why nothing was sent';

CREATE TABLE enotify.retry (
    batch_id  bigint NOT NULL,
    due_at    timestamptz NOT NULL,
    first_at  timestamptz NOT NULL,
    intent_at timestamptz,
    seq       int NOT NULL,
    domain_id int NOT NULL,
    attempts  int NOT NULL,
    tries     int NOT NULL,
    class     enotify.reply_class,
    code      smallint,
    grp       smallint NOT NULL,
    enhanced  text,
    reply     text,
    PRIMARY KEY (batch_id, seq)
) WITH (fillfactor = 70);
CREATE INDEX retry_due ON enotify.retry (grp, due_at) WHERE intent_at IS NULL;
COMMENT ON TABLE  enotify.retry IS 'recipients that were deferred and wait for the next try';
COMMENT ON COLUMN enotify.retry.batch_id IS 'the batch';
COMMENT ON COLUMN enotify.retry.due_at IS 'next try not before';
COMMENT ON COLUMN enotify.retry.first_at IS 'first deferral';
COMMENT ON COLUMN enotify.retry.intent_at IS 'write-ahead intent of the try under way; NULL while it waits';
COMMENT ON COLUMN enotify.retry.seq IS 'the recipient';
COMMENT ON COLUMN enotify.retry.domain_id IS 'its domain';
COMMENT ON COLUMN enotify.retry.attempts IS 'tries that count so far; being throttled does not count';
COMMENT ON COLUMN enotify.retry.tries IS 'all tries so far; fences a result that is written twice';
COMMENT ON COLUMN enotify.retry.class IS 'class of the last reply';
COMMENT ON COLUMN enotify.retry.code IS 'code of the last reply';
COMMENT ON COLUMN enotify.retry.grp IS 'lease group of the domain';
COMMENT ON COLUMN enotify.retry.enhanced IS 'enhanced status code of the last reply';
COMMENT ON COLUMN enotify.retry.reply IS 'text of the last reply';

CREATE TABLE enotify.attempt (
    batch_id bigint NOT NULL,
    at       timestamptz NOT NULL,
    seq      int NOT NULL,
    n        int NOT NULL,
    class    enotify.reply_class,
    code     smallint,
    enhanced text,
    reply    text,
    host     text
);
CREATE INDEX attempt_recipient ON enotify.attempt (batch_id, seq);
COMMENT ON TABLE  enotify.attempt IS 'log of every attempt that was not a plain success at the first try';
COMMENT ON COLUMN enotify.attempt.batch_id IS 'the batch';
COMMENT ON COLUMN enotify.attempt.at IS 'when it ended';
COMMENT ON COLUMN enotify.attempt.seq IS 'the recipient';
COMMENT ON COLUMN enotify.attempt.n IS 'number of the try, from 1';
COMMENT ON COLUMN enotify.attempt.class IS 'class of the reply; NULL: delivered';
COMMENT ON COLUMN enotify.attempt.code IS 'SMTP reply code; NULL: none';
COMMENT ON COLUMN enotify.attempt.enhanced IS 'enhanced status code';
COMMENT ON COLUMN enotify.attempt.reply IS 'text of the reply';
COMMENT ON COLUMN enotify.attempt.host IS 'MX host that answered';

CREATE TABLE enotify.batch_count (
    batch_id bigint   NOT NULL,
    state    enotify.recipient_state NOT NULL,
    shard    smallint NOT NULL,
    n        int      NOT NULL,
    PRIMARY KEY (batch_id, state, shard)
) WITH (fillfactor = 50);
COMMENT ON TABLE  enotify.batch_count IS 'outcomes per batch and state, kept by a trigger on outcome; the sum over shards counts';
COMMENT ON COLUMN enotify.batch_count.batch_id IS 'the batch';
COMMENT ON COLUMN enotify.batch_count.state IS 'the state counted';
COMMENT ON COLUMN enotify.batch_count.shard IS 'spreads writers over rows so that they do not wait for each other';
COMMENT ON COLUMN enotify.batch_count.n IS 'outcomes';

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
    UNIQUE NULLS NOT DISTINCT (address, client_id)
);
COMMENT ON TABLE  enotify.suppression IS 'addresses never to be sent to: applied when a batch is sealed, asked again when recipients are read for sending';
COMMENT ON COLUMN enotify.suppression.address IS 'normalised and lower case';
COMMENT ON COLUMN enotify.suppression.client_id IS 'NULL: for all clients';
COMMENT ON COLUMN enotify.suppression.cause IS 'what put it here';
COMMENT ON COLUMN enotify.suppression.until IS 'ends by itself then; NULL: stays until removed';
COMMENT ON COLUMN enotify.suppression.added_at IS 'when';
COMMENT ON COLUMN enotify.suppression.added_by IS 'login that wrote it';
COMMENT ON COLUMN enotify.suppression.batch_id IS 'the batch whose reply caused it';
COMMENT ON COLUMN enotify.suppression.seq IS 'the recipient whose reply caused it';
COMMENT ON COLUMN enotify.suppression.note IS 'the reply, or the operator''s words';

-- How fast, and from where.

CREATE TABLE enotify.destination (
    name           text PRIMARY KEY CHECK (name = '*' OR name = lower(name)),
    rate_messages  int CHECK (rate_messages >= 0),
    rate_per       interval CHECK (rate_per > interval '0'),
    burst          int CHECK (burst > 0),
    connections    int CHECK (connections > 0),
    per_connection int CHECK (per_connection > 0),
    updated_at     timestamptz NOT NULL DEFAULT now(),
    updated_by     name NOT NULL DEFAULT session_user,
    CHECK ((rate_messages IS NULL) = (rate_per IS NULL))
);
COMMENT ON TABLE  enotify.destination IS 'the operator''s limits per recipient domain or site; NULL: as the row ''*'' says, and that as built in';
COMMENT ON COLUMN enotify.destination.name IS 'recipient domain or site; * for all that have no row of their own';
COMMENT ON COLUMN enotify.destination.rate_messages IS 'messages per rate_per; 0: no limit';
COMMENT ON COLUMN enotify.destination.rate_per IS 'the time that rate_messages counts for';
COMMENT ON COLUMN enotify.destination.burst IS 'messages that may go at once after a quiet time';
COMMENT ON COLUMN enotify.destination.connections IS 'connections open at once';
COMMENT ON COLUMN enotify.destination.per_connection IS 'messages before a connection is closed';
COMMENT ON COLUMN enotify.destination.updated_at IS 'when it was set';
COMMENT ON COLUMN enotify.destination.updated_by IS 'login that set it';

CREATE TABLE enotify.node (
    id         int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name       text   NOT NULL,
    egress     inet[] NOT NULL CHECK (cardinality(egress) > 0),
    helo       text   NOT NULL,
    version    text   NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    live_until timestamptz NOT NULL
);
COMMENT ON TABLE  enotify.node IS 'running sender processes; a row per start, removed when it stops or is replaced';
COMMENT ON COLUMN enotify.node.id IS 'number of this run';
COMMENT ON COLUMN enotify.node.name IS 'what the operator calls it';
COMMENT ON COLUMN enotify.node.egress IS 'addresses that receivers see it connect from';
COMMENT ON COLUMN enotify.node.helo IS 'name it gives at EHLO';
COMMENT ON COLUMN enotify.node.version IS 'of the program';
COMMENT ON COLUMN enotify.node.started_at IS 'when it joined';
COMMENT ON COLUMN enotify.node.live_until IS 'moved ahead by each heartbeat; past it the node is dead';

CREATE TABLE enotify.lease (
    grp     smallint PRIMARY KEY,
    node_id int,
    epoch   bigint NOT NULL DEFAULT 0,
    until   timestamptz NOT NULL DEFAULT '-infinity'
) WITH (fillfactor = 50);
INSERT INTO enotify.lease (grp) SELECT g FROM generate_series(0, 63) g;
COMMENT ON TABLE  enotify.lease IS 'which node sends to which group of recipient domains, so that a rate kept by one process is exact for all';
COMMENT ON COLUMN enotify.lease.grp IS 'group of domains';
COMMENT ON COLUMN enotify.lease.node_id IS 'holder; NULL after it gave the group back with nothing in flight';
COMMENT ON COLUMN enotify.lease.epoch IS 'fence: grows each time the group changes hands';
COMMENT ON COLUMN enotify.lease.until IS 'by the database''s clock; past it another node may take the group';

-- What the guard found.

CREATE TABLE enotify.verdict (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    client_id     int  NOT NULL REFERENCES enotify.client ON DELETE CASCADE,
    identity      text NOT NULL CHECK (identity IN ('mailfrom', 'from')),
    domain        text NOT NULL,
    egress        inet NOT NULL,
    result        text NOT NULL CHECK (result IN ('pass', 'fail', 'softfail', 'neutral', 'none', 'temperror', 'permerror')),
    blocks        boolean NOT NULL,
    record        text NOT NULL DEFAULT '',
    explanation   text NOT NULL DEFAULT '',
    fix           text NOT NULL DEFAULT '',
    since         timestamptz NOT NULL DEFAULT now(),
    checked_at    timestamptz NOT NULL DEFAULT now(),
    valid_until   timestamptz NOT NULL,
    superseded_at timestamptz
);
CREATE UNIQUE INDEX verdict_current ON enotify.verdict (client_id, identity, egress) WHERE superseded_at IS NULL;
CREATE INDEX verdict_history ON enotify.verdict (client_id, since);
COMMENT ON TABLE  enotify.verdict IS 'what SPF says of a client and an egress address; a new row whenever that changes, so the history of a client''s record is here';
COMMENT ON COLUMN enotify.verdict.id IS 'number';
COMMENT ON COLUMN enotify.verdict.client_id IS 'the client';
COMMENT ON COLUMN enotify.verdict.identity IS 'mailfrom: the envelope sender''s domain; from: the domain of From: where it differs';
COMMENT ON COLUMN enotify.verdict.domain IS 'the domain that was checked';
COMMENT ON COLUMN enotify.verdict.egress IS 'the address that was checked';
COMMENT ON COLUMN enotify.verdict.result IS 'RFC 7208 §2.6';
COMMENT ON COLUMN enotify.verdict.blocks IS 'whether nothing may be sent from this address for this client';
COMMENT ON COLUMN enotify.verdict.record IS 'the record found; empty: none';
COMMENT ON COLUMN enotify.verdict.explanation IS 'which term decided, and the way to it';
COMMENT ON COLUMN enotify.verdict.fix IS 'the zone line that cures it; empty when nothing needs a cure';
COMMENT ON COLUMN enotify.verdict.since IS 'first seen so';
COMMENT ON COLUMN enotify.verdict.checked_at IS 'last seen so';
COMMENT ON COLUMN enotify.verdict.valid_until IS 'by TTL; must be asked again then';
COMMENT ON COLUMN enotify.verdict.superseded_at IS 'when it changed; NULL: this is the current one';
