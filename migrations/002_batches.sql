-- Clients, their batches, and the recipients that applications stage.
--
-- Columns stand in reading order: identity, content, progress, times. These tables have one row per client or batch,
-- so padding between columns costs nothing.

CREATE TABLE enotify.pool (
    name       text PRIMARY KEY CHECK (name ~ '^[a-z0-9]([a-z0-9._-]*[a-z0-9])?$' AND length(name) <= 63),
    kind       text NOT NULL DEFAULT 'shared' CHECK (kind IN ('shared', 'urgent', 'private')),
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX pool_urgent ON enotify.pool (kind) WHERE kind = 'urgent';
INSERT INTO enotify.pool (name) VALUES ('default');
COMMENT ON TABLE  enotify.pool IS
    'groups of egress addresses. A batch leaves from the addresses of one pool, and never from others: the one that '
    'the batch names, else the urgent one where its priority is above 0, else that of its client, see batch_pool()';
COMMENT ON INDEX  enotify.pool_urgent IS 'at most one pool is urgent';
COMMENT ON COLUMN enotify.pool.name IS 'lower case';
COMMENT ON COLUMN enotify.pool.kind IS
    'shared: every application may name it. private: applications may name it for the clients whose pool it is, and '
    'operators always. urgent: for batches of a priority above 0 alone, which all go there unless they name another';
COMMENT ON COLUMN enotify.pool.created_at IS 'when it was made';

CREATE TABLE enotify.client (
    id             int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    domain         text NOT NULL UNIQUE
        CHECK (domain = lower(domain) AND domain ~ '^[a-z0-9_-]+(\.[a-z0-9_-]+)+$' AND length(domain) <= 253),
    return_path    text
        CHECK (return_path !~ '[\s<>]' AND return_path ~ '^[^@]+@[^@]+$' AND length(return_path) <= 254),
    bounce         text NOT NULL DEFAULT 'off' CHECK (bounce IN ('off', 'operator', 'own')),
    bounce_domain  text
        CHECK (bounce_domain = lower(bounce_domain) AND bounce_domain ~ '^[a-z0-9_-]+(\.[a-z0-9_-]+)+$'
           AND length(bounce_domain) <= 189),
    dkim_selectors text[] NOT NULL DEFAULT '{}' CHECK (
        cardinality(dkim_selectors) <= 4 AND array_position(dkim_selectors, NULL) IS NULL AND
        '.' || array_to_string(dkim_selectors, '.') ~ '^(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*\.?$'),
    from_spf       text NOT NULL DEFAULT 'block' CHECK (from_spf IN ('block', 'warn')),
    pool           text NOT NULL DEFAULT 'default' REFERENCES enotify.pool,
    auto_submitted text NOT NULL DEFAULT 'auto-generated' CHECK (auto_submitted IN ('', 'auto-generated')),
    precedence     text NOT NULL DEFAULT '' CHECK (precedence IN ('', 'bulk', 'list')),
    max_priority   int NOT NULL DEFAULT 10 CHECK (max_priority >= 0),
    refused_at     timestamptz,
    refused_why    text NOT NULL DEFAULT '',
    send_window    text CHECK (length(send_window) <= 500),
    urgent         int NOT NULL DEFAULT 100,
    per_day        int CHECK (per_day > 0),
    per_month      int CHECK (per_month > 0),
    max_batches    int CHECK (max_batches > 0),
    max_batch_size int CHECK (max_batch_size > 0),
    over_quota     text NOT NULL DEFAULT 'wait' CHECK (over_quota IN ('wait', 'refuse')),
    zone           text NOT NULL DEFAULT 'UTC',
    spent_until    timestamptz,
    created_at     timestamptz NOT NULL DEFAULT now(),
    bulk_since     timestamptz,
    CONSTRAINT client_bounce_domain_own CHECK ((bounce = 'own') = (bounce_domain IS NOT NULL))
);
COMMENT ON TABLE  enotify.client IS 'domains we send for; the domain of every From: address is one of them';
COMMENT ON COLUMN enotify.client.id IS 'number';
COMMENT ON COLUMN enotify.client.domain IS 'lower case, A-labels, no trailing dot';
COMMENT ON COLUMN enotify.client.return_path IS 'envelope sender of all its mail; NULL: the From: address';
COMMENT ON COLUMN enotify.client.bounce IS
    'how the envelope sender is chosen. off: return_path, or the From: address. own: one signed address per recipient '
    'at bounce_domain. operator: one signed address per recipient at the domain of run --bounce-domain';
COMMENT ON COLUMN enotify.client.bounce_domain IS
    'domain of its signed return paths, whose MX leads to run --bounce-listen. At most 189 octets: the local part '
    'takes up to 64 of the 254 octets of an address';
COMMENT ON COLUMN enotify.client.dkim_selectors IS
    'selectors (RFC 6376 §3.1) of the keys that sign its mail, one signature each; empty: unsigned. Private keys are '
    'files on the nodes';
COMMENT ON COLUMN enotify.client.from_spf IS
    'what the guard does where the SPF record of the From: domain forbids our addresses, while the envelope sender '
    'passes and is aligned with From: by DMARC. block: nothing is sent. warn: it is sent. Elsewhere it always blocks';
COMMENT ON COLUMN enotify.client.pool IS 'the pool of egress addresses that its mail leaves from';
COMMENT ON COLUMN enotify.client.auto_submitted IS
    'the Auto-Submitted: field of its mail (RFC 3834), which keeps vacation replies away; empty: none';
COMMENT ON COLUMN enotify.client.precedence IS 'the Precedence: field of its mail: bulk or list; empty: none';
COMMENT ON COLUMN enotify.client.max_priority IS
    'the highest priority that an application may give a batch of it; above is for operators';
COMMENT ON COLUMN enotify.client.refused_at IS
    'since when its batches are blocked because receivers refuse them although the guard found nothing wrong. Ends '
    'when its SPF record changes or an operator resumes one of the batches. NULL: not blocked for this reason';
COMMENT ON COLUMN enotify.client.refused_why IS 'the receivers'' replies that led to refused_at, and the next step';
COMMENT ON COLUMN enotify.client.send_window IS
    'the hours within which its batches are sent, as read_window() writes them; NULL: always';
COMMENT ON COLUMN enotify.client.urgent IS
    'a batch of this priority or a higher one is sent outside of the windows too, and however many others have begun';
COMMENT ON COLUMN enotify.client.per_day IS
    'messages a day, by the clock of zone: recipients whose first try begins. Later tries cost nothing; NULL: no limit';
COMMENT ON COLUMN enotify.client.per_month IS 'messages a calendar month, likewise; NULL: no limit';
COMMENT ON COLUMN enotify.client.max_batches IS
    'batches in the queue at once, begun and not finished; with over_quota = refuse those not begun count too; NULL: '
    'no limit';
COMMENT ON COLUMN enotify.client.max_batch_size IS 'recipients of one batch; a larger one is refused; NULL: no limit';
COMMENT ON COLUMN enotify.client.over_quota IS
    'what happens to a batch that is more than the client may send. wait: it waits, and goes on when there is room '
    'again. refuse: submit_batch refuses it';
COMMENT ON COLUMN enotify.client.zone IS 'time zone (IANA) of the days and months of the limits';
COMMENT ON COLUMN enotify.client.spent_until IS
    'when the day or month ends whose messages are all used up, found by a node; in the past, or NULL: some are left';
COMMENT ON COLUMN enotify.client.bulk_since IS
    'when it was first seen that 5,000 of its messages reached Gmail within a day: Gmail holds it to the rules for '
    'bulk senders for ever; NULL: never';
COMMENT ON COLUMN enotify.client.created_at IS 'when it was registered';

CREATE TABLE enotify.client_login (
    client_id int  NOT NULL REFERENCES enotify.client ON DELETE CASCADE,
    login     name NOT NULL,
    PRIMARY KEY (client_id, login)
);
CREATE INDEX client_login_login ON enotify.client_login (login);
COMMENT ON TABLE  enotify.client_login IS
    'ties logins to a client: a tied login sends for its clients and sees their batches, and no others. A client '
    'without a row belongs to every login that has no row';
COMMENT ON COLUMN enotify.client_login.client_id IS 'the client';
COMMENT ON COLUMN enotify.client_login.login IS 'a PostgreSQL login (session_user)';

CREATE TABLE enotify.token (
    id         int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    login      name  NOT NULL,
    hash       bytea NOT NULL UNIQUE CHECK (length(hash) = 32),
    note       text  NOT NULL DEFAULT '' CHECK (length(note) <= 200),
    created_at timestamptz NOT NULL DEFAULT now(),
    created_by name  NOT NULL DEFAULT session_user,
    retired_at timestamptz
);
COMMENT ON TABLE  enotify.token IS
    'bearer tokens of applications that enqueue over HTTP (run --submit). my_login() lets a session that knows one act '
    'as its login';
COMMENT ON COLUMN enotify.token.id IS 'number';
COMMENT ON COLUMN enotify.token.login IS
    'the login that a holder of the token acts as: one of an application, never of an operator';
COMMENT ON COLUMN enotify.token.hash IS
    'SHA-256 of the key, which is the SHA-256 of the token in hexadecimal: the token never comes to the database';
COMMENT ON COLUMN enotify.token.note IS 'for people: who has it';
COMMENT ON COLUMN enotify.token.created_at IS 'when it was made';
COMMENT ON COLUMN enotify.token.created_by IS 'login that made it';
COMMENT ON COLUMN enotify.token.retired_at IS 'since when it is refused; NULL: it is accepted';

CREATE TABLE enotify.client_sent (
    client_id int    NOT NULL REFERENCES enotify.client ON DELETE CASCADE,
    day       date   NOT NULL,
    n         bigint NOT NULL,
    PRIMARY KEY (client_id, day)
) WITH (fillfactor = 50); -- a row is updated in every tick: room for its versions on one page
CREATE INDEX client_sent_day ON enotify.client_sent (day);
COMMENT ON TABLE  enotify.client_sent IS
    'messages of the clients that have a limit a day or a month, counted in the transaction of their intents. The row '
    'of the first day of a month is the lock under which the messages of that month are counted';
COMMENT ON COLUMN enotify.client_sent.client_id IS 'the client';
COMMENT ON COLUMN enotify.client_sent.day IS 'by the clock of client.zone';
COMMENT ON COLUMN enotify.client_sent.n IS 'recipients whose first try began';

CREATE TABLE enotify.submit_lock (
    client_id int PRIMARY KEY REFERENCES enotify.client ON DELETE CASCADE
);
COMMENT ON TABLE  enotify.submit_lock IS
    'rows that submit_batch locks for a client that refuses what is over a limit, so that two batches do not take the '
    'same room. Only batches of that client wait for it, no node';
COMMENT ON COLUMN enotify.submit_lock.client_id IS 'the client';

CREATE TABLE enotify.send_window (
    spec      text PRIMARY KEY,
    opens_at  timestamptz NOT NULL,
    closes_at timestamptz NOT NULL,
    CHECK (opens_at < closes_at)
);
COMMENT ON TABLE  enotify.send_window IS
    'for each window in use the span that is open, or the next one. A node writes it, which knows the time zones; one '
    'that is not here is closed';
COMMENT ON COLUMN enotify.send_window.spec IS 'the window, as read_window() writes it';
COMMENT ON COLUMN enotify.send_window.opens_at IS 'when the span begins';
COMMENT ON COLUMN enotify.send_window.closes_at IS 'when it ends';

CREATE TABLE enotify.batch (
    id               bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    client_id        int  NOT NULL REFERENCES enotify.client,
    idem_key         text NOT NULL CHECK (length(idem_key) BETWEEN 1 AND 200),
    state            enotify.batch_state NOT NULL DEFAULT 'draft',
    reason           text NOT NULL DEFAULT '',
    priority         int  NOT NULL DEFAULT 0,
    from_address     text NOT NULL CHECK (from_address !~ '[\r\n]' AND length(from_address) <= 254),
    from_name        text NOT NULL DEFAULT ''
        CHECK (from_name !~ '[\x01-\x1f\x7f-\x9f]' AND length(from_name) <= 200),
    reply_to         text NOT NULL DEFAULT '' CHECK (reply_to !~ '[\r\n]' AND length(reply_to) <= 254),
    subject          text NOT NULL CHECK (subject !~ '[\x01-\x1f\x7f-\x9f]' AND length(subject) <= 900),
    list_unsubscribe text NOT NULL DEFAULT ''
        CHECK (list_unsubscribe !~ '[\s<>]' AND (list_unsubscribe = '' OR list_unsubscribe ~ '^(https|mailto):')
           AND length(list_unsubscribe) <= 800),
    headers          jsonb NOT NULL DEFAULT '{}' CHECK (
        jsonb_typeof(headers) = 'object' AND pg_column_size(headers) <= 32768
        AND NOT headers @? '$.keyvalue().key ? (!(@ like_regex "^[A-Za-z][A-Za-z0-9-]*$"))'
        AND NOT headers @? 'strict $.** ? (@.type() == "string" && @ like_regex "[\\x01-\\x1f\\x7f-\\x9f]")'),
    lang             text NOT NULL DEFAULT ''
        CHECK (lang = '' OR lang ~ '^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}$'),
    body_text        text NOT NULL DEFAULT '' CHECK (octet_length(body_text) <= 2097152),
    body_html        text NOT NULL DEFAULT '' CHECK (octet_length(body_html) <= 2097152),
    on_unknown       text NOT NULL DEFAULT 'hold' CHECK (on_unknown IN ('hold', 'resend')),
    pool             text REFERENCES enotify.pool,
    staged           int  NOT NULL DEFAULT 0,
    duplicates       int  NOT NULL DEFAULT 0,
    total            int  NOT NULL DEFAULT 0,
    sendable         int  NOT NULL DEFAULT 0,
    requeues         int  NOT NULL DEFAULT 0,
    edits            int  NOT NULL DEFAULT 0,
    fault            text NOT NULL DEFAULT '',
    paused_with_all  boolean NOT NULL DEFAULT false,
    tls_report       boolean NOT NULL DEFAULT false,
    created_by       name NOT NULL DEFAULT session_user,
    created_at       timestamptz NOT NULL DEFAULT now(),
    submitted_at     timestamptz,
    send_window      text CHECK (length(send_window) <= 500),
    not_before       timestamptz,
    expires_at       timestamptz NOT NULL DEFAULT now() + interval '3 days',
    surveyed_at      timestamptz,
    started_at       timestamptz,
    turn_at          timestamptz,
    turn_intents     int NOT NULL DEFAULT 0,
    passed_at        timestamptz,
    yielded_at       timestamptz,
    finished_at      timestamptz,
    pruned_at        timestamptz,
    UNIQUE (client_id, idem_key),
    CONSTRAINT batch_not_before_check
        CHECK (not_before >= '2000-01-01 00:00+00' AND not_before < '10000-01-01 00:00+00'),
    CONSTRAINT batch_expires_at_check
        CHECK (expires_at >= '2000-01-01 00:00+00' AND expires_at < '10000-01-01 00:00+00'),
    CONSTRAINT batch_pruned_check CHECK (pruned_at IS NULL OR state IN ('done', 'cancelled'))
) WITH (fillfactor = 70); -- room on each page for updated rows: progress updates touch no index (HOT)
CREATE UNIQUE INDEX batch_one_sending ON enotify.batch (state) WHERE state = 'sending';
CREATE INDEX batch_draining ON enotify.batch (turn_at) WHERE state = 'draining';
-- For what a node asks every second: however many batches wait, it reads only these.
CREATE INDEX batch_begun ON enotify.batch (id) WHERE finished_at IS NULL AND started_at IS NOT NULL;
CREATE INDEX batch_expiry ON enotify.batch (expires_at) WHERE finished_at IS NULL;
CREATE INDEX batch_ending ON enotify.batch (id) WHERE finished_at IS NULL AND state = 'cancelled';
CREATE INDEX batch_empty ON enotify.batch (id) WHERE finished_at IS NULL AND sendable = 0 AND state <> 'draft';
-- The first batch of each client and login, however many it has.
CREATE INDEX batch_unsurveyed ON enotify.batch (client_id, created_by, priority DESC, submitted_at, id)
    WHERE finished_at IS NULL AND state = 'queued' AND surveyed_at IS NULL;
CREATE INDEX batch_client ON enotify.batch (client_id, priority DESC, submitted_at, id) WHERE finished_at IS NULL;
-- Each of these holds few batches, beside thousands of the same client under way. One that the planner takes for it
-- while the table is small reads all of those.
CREATE INDEX batch_pooled ON enotify.batch (client_id, pool)
    WHERE finished_at IS NULL AND state <> 'draft' AND pool IS NOT NULL;
CREATE INDEX batch_urgent ON enotify.batch (client_id)
    WHERE finished_at IS NULL AND state <> 'draft' AND pool IS NULL AND priority > 0;
CREATE INDEX batch_blocked ON enotify.batch (client_id) WHERE state = 'blocked';
CREATE INDEX batch_passed ON enotify.batch (turn_at)
    WHERE finished_at IS NULL AND state = 'retrying' AND passed_at IS NOT NULL;
CREATE INDEX batch_windows ON enotify.batch (send_window) WHERE finished_at IS NULL AND send_window IS NOT NULL;
CREATE INDEX batch_draft ON enotify.batch (created_by, created_at) WHERE state = 'draft';
CREATE INDEX batch_waiting ON enotify.batch
    (priority, (yielded_at IS NULL), client_id, created_by, submitted_at, id) WHERE state = 'queued';
CREATE INDEX batch_turns ON enotify.batch (client_id, created_by, turn_at) WHERE turn_at IS NOT NULL;
CREATE INDEX batch_open ON enotify.batch (priority DESC, id) WHERE finished_at IS NULL;
-- For people: the batches of the last day or week, beside years of older ones.
CREATE INDEX batch_finished ON enotify.batch (finished_at) WHERE finished_at IS NOT NULL;
COMMENT ON TABLE  enotify.batch IS 'one notification to many recipients';
COMMENT ON INDEX  enotify.batch_one_sending IS 'one batch at a time: at most one row is in state sending';
COMMENT ON INDEX  enotify.batch_draining IS
    'batches that had the turn before; in their domains the batch in state sending waits for them';
COMMENT ON COLUMN enotify.batch.id IS 'number, also part of every Message-ID';
COMMENT ON COLUMN enotify.batch.client_id IS 'the client it is sent for: the domain of from_address';
COMMENT ON COLUMN enotify.batch.idem_key IS
    'the application''s name for it; a second create_batch with the same key returns the same batch';
COMMENT ON COLUMN enotify.batch.state IS 'draft while recipients are staged; enotify.batch_moves() lists the changes';
COMMENT ON COLUMN enotify.batch.reason IS 'why it is paused, blocked, cancelled or waiting; for people';
COMMENT ON COLUMN enotify.batch.priority IS
    'a batch of higher priority takes the turn at once from one of lower priority; 0 is ordinary. Among those of one '
    'priority the turn goes round the clients: see next_batches()';
COMMENT ON COLUMN enotify.batch.from_address IS 'address of the From: field';
COMMENT ON COLUMN enotify.batch.from_name IS 'display name of the From: field; empty: none';
COMMENT ON COLUMN enotify.batch.reply_to IS 'address of the Reply-To: field; empty: none';
COMMENT ON COLUMN enotify.batch.subject IS 'may hold merge fields such as {{.name}}';
COMMENT ON COLUMN enotify.batch.list_unsubscribe IS
    'https: or mailto: URI of the List-Unsubscribe: field (RFC 2369); may hold merge fields; empty: none';
COMMENT ON COLUMN enotify.batch.headers IS
    'header fields of its messages beside those that enotify writes: name to value, or to a list of values; values '
    'may hold merge fields';
COMMENT ON COLUMN enotify.batch.lang IS
    'language of the text (BCP 47), such as de or pt-BR: the Content-Language: field of its messages, and the language '
    'of the page that unsubscribes; empty: not said';
COMMENT ON COLUMN enotify.batch.body_text IS 'text/plain body, at most 2 MiB; may hold merge fields; empty: none';
COMMENT ON COLUMN enotify.batch.body_html IS 'text/html body, at most 2 MiB; may hold merge fields; empty: none';
COMMENT ON COLUMN enotify.batch.on_unknown IS
    'what happens to a recipient that may or may not have got the message when its node died. hold: its outcome is '
    'unknown and an operator decides. resend: it is tried again with the same Message-ID';
COMMENT ON COLUMN enotify.batch.pool IS
    'the pool of egress addresses that it leaves from; NULL: that of its kind or client, see batch_pool()';
COMMENT ON COLUMN enotify.batch.staged IS 'rows of recipient_in that submit_batch found';
COMMENT ON COLUMN enotify.batch.duplicates IS 'staged rows that repeated an address';
COMMENT ON COLUMN enotify.batch.total IS 'recipients: staged - duplicates';
COMMENT ON COLUMN enotify.batch.sendable IS
    'recipients that submit_batch found neither invalid nor suppressed: seq 1 to sendable, the ranges of batch_domain';
COMMENT ON COLUMN enotify.batch.requeues IS 'how many times recipients of it were requeued';
COMMENT ON COLUMN enotify.batch.edits IS 'how many times its content was replaced since it was submitted';
COMMENT ON COLUMN enotify.batch.fault IS
    'why no message of it can be composed, found by a node: a template that cannot be read, for example. It is blocked '
    'until its content is replaced (replace_content). Empty: none is known';
COMMENT ON COLUMN enotify.batch.paused_with_all IS
    'pause_batches() paused it: resume_batches() puts it back. A batch that was paused by its number stays paused';
COMMENT ON COLUMN enotify.batch.tls_report IS
    'it is a report that a node made on failures of TLS (send_tls_report): it is sent whatever MTA-STS and DANE say';
COMMENT ON COLUMN enotify.batch.created_by IS 'login that created it';
COMMENT ON COLUMN enotify.batch.created_at IS 'when it was created';
COMMENT ON COLUMN enotify.batch.submitted_at IS 'when it was submitted; NULL: it is a draft, or was cancelled as one';
COMMENT ON COLUMN enotify.batch.send_window IS
    'the hours within which it is sent, as read_window() writes them, beside those of its client; NULL: those alone';
COMMENT ON COLUMN enotify.batch.not_before IS 'it takes no turn before this time; NULL: at once';
COMMENT ON COLUMN enotify.batch.expires_at IS 'no attempt begins after this time';
COMMENT ON COLUMN enotify.batch.surveyed_at IS
    'when the sites of all its domains were known; it takes no turn before. NULL: not yet';
COMMENT ON COLUMN enotify.batch.started_at IS 'when it first took the turn; the Date: of its messages';
COMMENT ON COLUMN enotify.batch.turn_at IS
    'when it last took the turn: of two batches under way, the earlier one goes first in each recipient domain';
COMMENT ON COLUMN enotify.batch.turn_intents IS
    'recipients that had an intent when it last took the turn: those since tell how fast it is';
COMMENT ON COLUMN enotify.batch.passed_at IS
    'of a batch in state retrying: since when others have the turn although recipients of it are untried, at sites '
    'that do not move. It goes first in their domains. NULL: not so';
COMMENT ON COLUMN enotify.batch.yielded_at IS
    'when a batch of higher priority took its turn away: it goes on before others of its priority. NULL: not so';
COMMENT ON COLUMN enotify.batch.finished_at IS
    'when its last recipient got an outcome; NULL while anything may still happen';
COMMENT ON COLUMN enotify.batch.pruned_at IS
    'when its content, recipients and outcomes were dropped; the counts stay. NULL: all of it is still there';

CREATE TABLE enotify.attachment (
    batch_id     bigint NOT NULL REFERENCES enotify.batch ON DELETE CASCADE,
    n            int    NOT NULL CHECK (n BETWEEN 1 AND 20),
    filename     text   NOT NULL
        CHECK (filename !~ '[\x01-\x1f"\\/\x7f-\x9f]' AND length(filename) BETWEEN 1 AND 200),
    content_type text   NOT NULL DEFAULT ''
        CHECK (content_type = '' OR length(content_type) <= 200 AND content_type
            ~ '^[A-Za-z0-9.+-]+/[A-Za-z0-9.+-]+(; *[A-Za-z0-9-]+=("[ !#-\[\]-~]*"|[A-Za-z0-9!#$&^_.+-]+))*$'),
    content_id   text   NOT NULL DEFAULT '' CHECK (content_id ~ '^[!#-;=?-\[\]-~]*$' AND length(content_id) <= 200),
    content      bytea  NOT NULL CHECK (length(content) <= 26214400),
    PRIMARY KEY (batch_id, n)
);
COMMENT ON TABLE  enotify.attachment IS 'files attached to every message of a batch';
COMMENT ON COLUMN enotify.attachment.batch_id IS 'the batch';
COMMENT ON COLUMN enotify.attachment.n IS 'position, from 1 to 20';
COMMENT ON COLUMN enotify.attachment.filename IS 'name shown to the reader';
COMMENT ON COLUMN enotify.attachment.content_type IS
    'media type, with its parameters: text/calendar; method=REQUEST. Empty: chosen by the file name';
COMMENT ON COLUMN enotify.attachment.content_id IS
    'name by which the HTML shows it: logo for <img src="cid:logo">; empty: a picture is shown by its file name';
COMMENT ON COLUMN enotify.attachment.content IS 'the file, at most 25 MiB';

CREATE TABLE enotify.batch_log (
    batch_id   bigint NOT NULL REFERENCES enotify.batch ON DELETE CASCADE,
    at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    from_state enotify.batch_state,
    to_state   enotify.batch_state NOT NULL,
    by         name NOT NULL DEFAULT session_user,
    person     text NOT NULL DEFAULT '',
    node       text NOT NULL DEFAULT '',
    reason     text NOT NULL
);
CREATE INDEX batch_log_batch ON enotify.batch_log (batch_id, at);
COMMENT ON TABLE  enotify.batch_log IS
    'every change of state of every batch, and every new reason of a paused one, written by note_batch()';
COMMENT ON COLUMN enotify.batch_log.batch_id IS 'the batch';
COMMENT ON COLUMN enotify.batch_log.at IS 'when';
COMMENT ON COLUMN enotify.batch_log.from_state IS 'the state before; NULL: the batch was created';
COMMENT ON COLUMN enotify.batch_log.to_state IS 'the state after';
COMMENT ON COLUMN enotify.batch_log.by IS 'login that changed it';
COMMENT ON COLUMN enotify.batch_log.person IS
    'who used the command line: batch … --by, else the user of the operating system. Octets beyond ASCII are %XX; '
    'empty: it was changed by a node or by SQL';
COMMENT ON COLUMN enotify.batch_log.node IS 'the node that changed it; empty: no node did';
COMMENT ON COLUMN enotify.batch_log.reason IS 'why, for people';

CREATE TABLE enotify.preflight (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    batch_id bigint NOT NULL REFERENCES enotify.batch ON DELETE CASCADE,
    at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    by       name   NOT NULL DEFAULT session_user,
    verdict  text   NOT NULL CHECK (verdict IN ('ready', 'warnings', 'blocked')),
    line     text   NOT NULL,
    forced   text,
    report   jsonb  NOT NULL
);
CREATE INDEX preflight_batch ON enotify.preflight (batch_id, at);
COMMENT ON TABLE  enotify.preflight IS 'reports of enotify preflight';
COMMENT ON COLUMN enotify.preflight.id IS 'number';
COMMENT ON COLUMN enotify.preflight.batch_id IS 'the batch';
COMMENT ON COLUMN enotify.preflight.at IS 'when it was made';
COMMENT ON COLUMN enotify.preflight.by IS 'login that made it';
COMMENT ON COLUMN enotify.preflight.verdict IS 'the report in one word';
COMMENT ON COLUMN enotify.preflight.line IS 'the report in one line';
COMMENT ON COLUMN enotify.preflight.forced IS
    'why the batch was submitted although the report says blocked; NULL: it was not forced';
COMMENT ON COLUMN enotify.preflight.report IS 'the whole report, as preflight -o json prints it';

CREATE TABLE enotify.ready_draft (
    batch_id   bigint PRIMARY KEY REFERENCES enotify.batch ON DELETE CASCADE,
    lasts      interval NOT NULL,
    since      timestamptz NOT NULL DEFAULT now(),
    checked_at timestamptz,
    verdict    text NOT NULL DEFAULT '' CHECK (verdict IN ('', 'ready', 'warnings', 'blocked', 'unknown')),
    line       text NOT NULL DEFAULT '',
    mark       text,
    held_until timestamptz NOT NULL DEFAULT '-infinity'
);
COMMENT ON TABLE  enotify.ready_draft IS
    'drafts that are kept until they are needed, such as an emergency notice: they do not expire, and nodes check them '
    'each night and when something changes';
COMMENT ON COLUMN enotify.ready_draft.batch_id IS 'a batch in state draft; submit_batch removes the row';
COMMENT ON COLUMN enotify.ready_draft.lasts IS
    'how long its recipients are tried: submit_batch sets expires_at by it';
COMMENT ON COLUMN enotify.ready_draft.since IS 'since when it is kept';
COMMENT ON COLUMN enotify.ready_draft.checked_at IS 'when it was last checked; NULL: not yet';
COMMENT ON COLUMN enotify.ready_draft.verdict IS
    'of the last preflight; unknown: it could not be checked; empty: it was not checked yet';
COMMENT ON COLUMN enotify.ready_draft.line IS 'what would stop it, or why it could not be checked; empty: nothing';
COMMENT ON COLUMN enotify.ready_draft.mark IS
    'what the check rests on: when that changes it is checked again. The client''s verdicts and record, the live nodes '
    'and the content';
COMMENT ON COLUMN enotify.ready_draft.held_until IS 'until when a node has it to check, and no other takes it';

CREATE TABLE enotify.recipient_in (
    batch_id bigint NOT NULL,
    address  text,
    data     jsonb,
    owner    oid NOT NULL DEFAULT session_user::regrole::oid
);
CREATE INDEX recipient_in_batch ON enotify.recipient_in (batch_id);
COMMENT ON TABLE  enotify.recipient_in IS
    'recipients staged for a draft: COPY enotify.recipient_in (batch_id, address, data); submit_batch empties it';
COMMENT ON COLUMN enotify.recipient_in.batch_id IS 'a batch in state draft';
COMMENT ON COLUMN enotify.recipient_in.address IS
    'as the application has it; a bad address becomes the outcome ''invalid'', never an error';
COMMENT ON COLUMN enotify.recipient_in.data IS
    'merge data, a JSON object of at most 64 KiB, see recipients_staged(); NULL: none';
COMMENT ON COLUMN enotify.recipient_in.owner IS
    'login that staged the row. A default, because COPY FROM refuses tables with row-level security';

CREATE TABLE enotify.staged_size (
    batch_id   bigint NOT NULL,
    recipients bigint NOT NULL,
    octets     bigint NOT NULL,
    login      name   NOT NULL
);
CREATE INDEX staged_size_login ON enotify.staged_size (login);
CREATE INDEX staged_size_batch ON enotify.staged_size (batch_id);
COMMENT ON TABLE  enotify.staged_size IS
    'how much is staged for drafts: a row for each large statement, and for some of the small ones. See note_staged()';
COMMENT ON COLUMN enotify.staged_size.batch_id IS 'the draft';
COMMENT ON COLUMN enotify.staged_size.recipients IS
    'rows that the statement staged; those of many more where it stands for other small statements';
COMMENT ON COLUMN enotify.staged_size.octets IS 'the same in octets of addresses and data';
COMMENT ON COLUMN enotify.staged_size.login IS 'the login that staged them';

