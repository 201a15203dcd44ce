-- Recipients, and the progress and outcome of each.
--
-- These tables have a row per recipient or recipient domain. Their columns stand by alignment, 8 octets, then 4, then
-- 2, then texts, so that no octet is lost to padding: a million recipients are a million rows here.

CREATE TABLE enotify.site (
    id   int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE,
    grp  smallint NOT NULL CHECK (grp BETWEEN 0 AND 63)
);
COMMENT ON TABLE  enotify.site IS
    'all recipient domains served by the same mail hosts; receivers count connections and messages per site';
COMMENT ON COLUMN enotify.site.id IS 'number';
COMMENT ON COLUMN enotify.site.name IS 'a provider''s short name, else the registered domain of the mail hosts';
COMMENT ON COLUMN enotify.site.grp IS 'lease group of its domains, so that one node at a time sends to the site';

CREATE TABLE enotify.domain (
    id               int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    site_id          int REFERENCES enotify.site,
    surveyed_at      timestamptz,
    surveyed_until   timestamptz,
    twin             bigint NOT NULL DEFAULT 0,
    no_mail          enotify.reply_class,
    grp              smallint NOT NULL CHECK (grp BETWEEN 0 AND 63),
    no_mail_code     smallint,
    name             text NOT NULL,
    no_mail_enhanced text,
    no_mail_reply    text,
    UNIQUE (name, twin)
);
COMMENT ON TABLE  enotify.domain IS 'every recipient domain ever seen';
COMMENT ON COLUMN enotify.domain.id IS 'number';
COMMENT ON COLUMN enotify.domain.site_id IS 'the site that takes its mail; NULL: not known yet';
COMMENT ON COLUMN enotify.domain.surveyed_at IS 'when the DNS was last asked, with or without an answer; NULL: never';
COMMENT ON COLUMN enotify.domain.surveyed_until IS 'until when the answer holds, by TTL';
COMMENT ON COLUMN enotify.domain.twin IS
    '0, or the batch that has a row of its own for the domain: when the batch was submitted, another transaction had '
    'inserted the domain and did not end. A submit waits for no other application. Later batches use the row with 0';
COMMENT ON COLUMN enotify.domain.no_mail IS
    'class of the outcome of all its recipients when it takes no mail (null MX, RFC 7505, or no such domain); NULL: '
    'it takes mail, as far as is known';
COMMENT ON COLUMN enotify.domain.grp IS
    'lease group: one node at a time sends to the domains of a group. The group of its site once the site is known '
    'and nothing is under way to the domain; before, by a hash of its name';
COMMENT ON COLUMN enotify.domain.no_mail_code IS 'reply code of that outcome (RFC 5321 §4.2)';
COMMENT ON COLUMN enotify.domain.name IS 'lower case, A-labels';
COMMENT ON COLUMN enotify.domain.no_mail_enhanced IS 'enhanced status code of that outcome (RFC 3463)';
COMMENT ON COLUMN enotify.domain.no_mail_reply IS 'text of that outcome';

CREATE TABLE enotify.recipient (
    batch_id  bigint NOT NULL,
    seq       int    NOT NULL,
    domain_id int,
    address   text   NOT NULL,
    data      jsonb,
    PRIMARY KEY (batch_id, seq)
);
COMMENT ON TABLE  enotify.recipient IS
    'recipients of submitted batches, numbered in domain order: a domain of a batch is a range of seq. Suppressed and '
    'invalid recipients come last. Rows change only when an address is forgotten';
COMMENT ON COLUMN enotify.recipient.batch_id IS 'the batch';
COMMENT ON COLUMN enotify.recipient.seq IS 'number within the batch, from 1';
COMMENT ON COLUMN enotify.recipient.domain_id IS 'recipient domain; NULL: the address is invalid';
COMMENT ON COLUMN enotify.recipient.address IS
    'normalised; an invalid address as it was staged; empty: it was forgotten, or an empty one was staged';
COMMENT ON COLUMN enotify.recipient.data IS 'merge data; NULL: none';

CREATE TABLE enotify.forgotten (
    batch_id bigint NOT NULL,
    at       timestamptz NOT NULL DEFAULT now(),
    seq      int NOT NULL,
    PRIMARY KEY (batch_id, seq)
);
COMMENT ON TABLE  enotify.forgotten IS
    'recipients whose address was forgotten. What a node still knows of them, also from a journal, is recorded without '
    'the receiver''s words, which often quote the address';
COMMENT ON COLUMN enotify.forgotten.batch_id IS 'the batch';
COMMENT ON COLUMN enotify.forgotten.at IS 'when it was forgotten';
COMMENT ON COLUMN enotify.forgotten.seq IS 'the recipient';

CREATE TABLE enotify.batch_domain (
    batch_id   bigint NOT NULL,
    domain_id  int    NOT NULL,
    first_seq  int    NOT NULL,
    last_seq   int    NOT NULL,
    intent_seq int    NOT NULL,
    grp        smallint NOT NULL,
    PRIMARY KEY (batch_id, domain_id),
    CHECK (intent_seq BETWEEN first_seq - 1 AND last_seq)
) WITH (fillfactor = 50); -- room on each page for updated rows: moving an intent touches no index (HOT)
COMMENT ON TABLE  enotify.batch_domain IS
    'progress of a batch in one recipient domain: one row for the whole range instead of a flag per recipient';
COMMENT ON COLUMN enotify.batch_domain.batch_id IS 'the batch';
COMMENT ON COLUMN enotify.batch_domain.domain_id IS 'the recipient domain';
COMMENT ON COLUMN enotify.batch_domain.first_seq IS 'first recipient of the range';
COMMENT ON COLUMN enotify.batch_domain.last_seq IS 'last recipient of the range';
COMMENT ON COLUMN enotify.batch_domain.intent_seq IS
    'write-ahead intent. Above it nothing was sent. A recipient at or below it has an outcome, or waits in retry, or '
    'may have been sent to';
COMMENT ON COLUMN enotify.batch_domain.grp IS 'lease group of the domain';

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
-- A report of what was refused reads nothing of what was delivered.
CREATE INDEX outcome_refused ON enotify.outcome (batch_id) WHERE state IN ('bounced', 'expired');
COMMENT ON TABLE  enotify.outcome IS
    'final result of a recipient, at most one each. Appended; changed only by a late fact: an unknown recipient turns '
    'out delivered or bounced, or a report says that a delivered message bounced after all';
COMMENT ON COLUMN enotify.outcome.batch_id IS 'the batch';
COMMENT ON COLUMN enotify.outcome.at IS 'when the receiver answered, or when the outcome was decided';
COMMENT ON COLUMN enotify.outcome.seq IS 'the recipient';
COMMENT ON COLUMN enotify.outcome.state IS 'the result';
COMMENT ON COLUMN enotify.outcome.class IS 'why it was refused; NULL: it was not';
COMMENT ON COLUMN enotify.outcome.code IS 'SMTP reply code (RFC 5321 §4.2); NULL: the receiver sent none';
COMMENT ON COLUMN enotify.outcome.enhanced IS 'enhanced status code (RFC 3463); NULL: none';
COMMENT ON COLUMN enotify.outcome.reply IS 'text of the receiver''s reply, or why nothing was sent';

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
    requeued  boolean NOT NULL DEFAULT false,
    enhanced  text,
    reply     text,
    PRIMARY KEY (batch_id, seq)
) WITH (fillfactor = 70); -- room on each page for updated rows
CREATE INDEX retry_due ON enotify.retry (grp, due_at) WHERE intent_at IS NULL;
COMMENT ON TABLE  enotify.retry IS 'deferred recipients, waiting for their next try';
COMMENT ON COLUMN enotify.retry.batch_id IS 'the batch';
COMMENT ON COLUMN enotify.retry.due_at IS 'no try before this time';
COMMENT ON COLUMN enotify.retry.first_at IS 'when it was first deferred';
COMMENT ON COLUMN enotify.retry.intent_at IS 'write-ahead intent of the try under way; NULL: it waits';
COMMENT ON COLUMN enotify.retry.seq IS 'the recipient';
COMMENT ON COLUMN enotify.retry.domain_id IS 'its domain';
COMMENT ON COLUMN enotify.retry.attempts IS 'tries so far that count; a throttled try does not';
COMMENT ON COLUMN enotify.retry.tries IS
    'all tries so far, those before a requeue included. A result of an earlier try, written twice or late, is known by '
    'its number and ignored';
COMMENT ON COLUMN enotify.retry.class IS 'class of the last reply; not_begun: no attempt was made yet';
COMMENT ON COLUMN enotify.retry.code IS 'code of the last reply';
COMMENT ON COLUMN enotify.retry.grp IS 'lease group of the domain';
COMMENT ON COLUMN enotify.retry.requeued IS
    'it was requeued and not tried since: a report can only be about a try before that';
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
COMMENT ON COLUMN enotify.attempt.n IS 'number of the try, from 1; a requeue goes on counting';
COMMENT ON COLUMN enotify.attempt.class IS 'class of the reply; NULL: delivered';
COMMENT ON COLUMN enotify.attempt.code IS 'SMTP reply code; NULL: none';
COMMENT ON COLUMN enotify.attempt.enhanced IS 'enhanced status code; NULL: none';
COMMENT ON COLUMN enotify.attempt.reply IS 'text of the reply';
COMMENT ON COLUMN enotify.attempt.host IS 'MX host that answered; NULL: none did';

CREATE TABLE enotify.doubt (
    batch_id bigint NOT NULL REFERENCES enotify.batch ON DELETE CASCADE,
    at       timestamptz NOT NULL DEFAULT now(),
    seq      int NOT NULL,
    node_id  int NOT NULL,
    attempts int NOT NULL,
    tries    int NOT NULL,
    PRIMARY KEY (batch_id, seq)
);
CREATE INDEX doubt_node ON enotify.doubt (node_id);
COMMENT ON TABLE  enotify.doubt IS
    'outcomes that are unknown because a node died. When its journal shows that the message had not begun, the '
    'recipient is sent to after all';
COMMENT ON COLUMN enotify.doubt.batch_id IS 'the batch';
COMMENT ON COLUMN enotify.doubt.at IS
    'outcome.at of the unknown outcome. An outcome with another time was written later: this row no longer applies';
COMMENT ON COLUMN enotify.doubt.seq IS 'the recipient';
COMMENT ON COLUMN enotify.doubt.node_id IS 'the node that had the recipient when it died';
COMMENT ON COLUMN enotify.doubt.attempts IS 'tries that counted, before that one';
COMMENT ON COLUMN enotify.doubt.tries IS 'all tries, that one included';

CREATE TABLE enotify.batch_count (
    batch_id bigint   NOT NULL,
    state    enotify.recipient_state NOT NULL,
    shard    smallint NOT NULL,
    n        int      NOT NULL,
    PRIMARY KEY (batch_id, state, shard)
) WITH (fillfactor = 50); -- room on each page for updated rows: counting touches no index (HOT)
COMMENT ON TABLE  enotify.batch_count IS
    'outcomes of each batch by state, kept by the trigger outcome_counted(); add up the shards';
COMMENT ON COLUMN enotify.batch_count.batch_id IS 'the batch';
COMMENT ON COLUMN enotify.batch_count.state IS 'the state counted';
COMMENT ON COLUMN enotify.batch_count.shard IS
    'spreads writers over several rows, so that they do not wait for each other';
COMMENT ON COLUMN enotify.batch_count.n IS 'outcomes; may be negative in one shard, never in the sum';
