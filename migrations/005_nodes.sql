-- Limits of destinations, the nodes that send, and the guard's verdicts.

CREATE TABLE enotify.destination (
    name           text PRIMARY KEY CHECK (name = '*' OR name = lower(name)),
    rate_messages  int CHECK (rate_messages >= 0),
    rate_per       interval CHECK (rate_per > interval '0'),
    burst          int CHECK (burst > 0),
    connections    int CHECK (connections > 0),
    per_connection int CHECK (per_connection > 0),
    tls            text CHECK (tls IN ('opportunistic', 'required', 'verified')),
    updated_at     timestamptz NOT NULL DEFAULT now(),
    updated_by     name NOT NULL DEFAULT session_user,
    person         text NOT NULL DEFAULT CASE WHEN starts_with(current_setting('application_name'), 'enotify by ')
                                              THEN substr(current_setting('application_name'), 12) ELSE '' END,
    CHECK ((rate_messages IS NULL) = (rate_per IS NULL))
);
COMMENT ON TABLE  enotify.destination IS
    'the operator''s limits per recipient domain or site. NULL: the value of the row ''*'', else the built-in one';
COMMENT ON COLUMN enotify.destination.name IS 'recipient domain or site; *: every one without a row of its own';
COMMENT ON COLUMN enotify.destination.rate_messages IS 'messages per rate_per; 0: no limit';
COMMENT ON COLUMN enotify.destination.rate_per IS 'the period of rate_messages';
COMMENT ON COLUMN enotify.destination.burst IS 'messages that may go at once after a quiet time';
COMMENT ON COLUMN enotify.destination.connections IS 'connections open at the same time';
COMMENT ON COLUMN enotify.destination.per_connection IS 'messages sent before a connection is closed';
COMMENT ON COLUMN enotify.destination.tls IS
    'opportunistic: encrypted where that works. required: never unencrypted. verified: encrypted, to a host with a '
    'valid certificate. NULL: the value of the row ''*'', else run --tls';
COMMENT ON COLUMN enotify.destination.updated_at IS 'when it was set';
COMMENT ON COLUMN enotify.destination.updated_by IS 'login that set it';
COMMENT ON COLUMN enotify.destination.person IS
    'who set it at the command line or the console; empty: it was set by SQL';

CREATE TABLE enotify.mta_sts (
    domain     text PRIMARY KEY CHECK (length(domain) <= 255),
    id         text NOT NULL CHECK (length(id) <= 32),
    policy     text NOT NULL CHECK (length(policy) <= 65536),
    fetched_at timestamptz NOT NULL,
    until      timestamptz NOT NULL
);
COMMENT ON TABLE  enotify.mta_sts IS
    'MTA-STS policies of recipient domains (RFC 8461). A policy holds until its max_age is over, even when DNS and the '
    'policy host say nothing any more, as in an attack. Removed when it is over';
COMMENT ON COLUMN enotify.mta_sts.domain IS 'recipient domain';
COMMENT ON COLUMN enotify.mta_sts.id IS 'id of the DNS record under which the policy was fetched';
COMMENT ON COLUMN enotify.mta_sts.policy IS 'the policy, in the form of RFC 8461 §3.2';
COMMENT ON COLUMN enotify.mta_sts.fetched_at IS 'when it was fetched';
COMMENT ON COLUMN enotify.mta_sts.until IS 'when it ends, unless it is fetched again';

CREATE TABLE enotify.tls_result (
    day      date   NOT NULL,
    domain   text   NOT NULL CHECK (length(domain) <= 255),
    shape    uuid   NOT NULL,
    policy   jsonb  NOT NULL CHECK (pg_column_size(policy) <= 65536),
    failure  jsonb  CHECK (pg_column_size(failure) <= 8192),
    sessions bigint NOT NULL CHECK (sessions > 0),
    PRIMARY KEY (day, domain, shape)
);
COMMENT ON TABLE  enotify.tls_result IS
    'how TLS with mail hosts ended: connections per recipient domain and day that ended alike, at most 100 rows each. '
    'Removed when the report of the day (RFC 8460) is done, or after 3 days';
COMMENT ON COLUMN enotify.tls_result.day IS 'in UTC';
COMMENT ON COLUMN enotify.tls_result.domain IS 'recipient domain';
COMMENT ON COLUMN enotify.tls_result.shape IS 'a hash of policy and failure';
COMMENT ON COLUMN enotify.tls_result.policy IS 'the policy that held, in the form of RFC 8460 §4.4';
COMMENT ON COLUMN enotify.tls_result.failure IS
    'why it was not met, in the form of RFC 8460 §4.4; NULL: it was met';
COMMENT ON COLUMN enotify.tls_result.sessions IS 'connections; one that carries mail of two domains counts for both';

CREATE TABLE enotify.tls_report (
    day           date NOT NULL,
    domain        text NOT NULL CHECK (length(domain) <= 255),
    claimed_until timestamptz NOT NULL,
    tries         int NOT NULL DEFAULT 1,
    batch_id      bigint,
    posted        text[] NOT NULL DEFAULT '{}',
    finished_at   timestamptz,
    result        text NOT NULL DEFAULT '' CHECK (length(result) <= 1000),
    PRIMARY KEY (day, domain)
);
COMMENT ON TABLE  enotify.tls_report IS
    'the daily report on TLS to a recipient domain (RFC 8460): its row makes sure that there is one. Kept for 30 days';
COMMENT ON COLUMN enotify.tls_report.day IS 'in UTC';
COMMENT ON COLUMN enotify.tls_report.domain IS 'recipient domain';
COMMENT ON COLUMN enotify.tls_report.claimed_until IS 'a node is at it; past this time another one may try';
COMMENT ON COLUMN enotify.tls_report.tries IS 'nodes that have been at it';
COMMENT ON COLUMN enotify.tls_report.batch_id IS
    'the batch that mails it, which was made in the same transaction; NULL: none';
COMMENT ON COLUMN enotify.tls_report.posted IS 'https addresses that have taken it';
COMMENT ON COLUMN enotify.tls_report.finished_at IS 'when nothing was left to do; NULL: not yet';
COMMENT ON COLUMN enotify.tls_report.result IS 'what became of it; for people';

CREATE TABLE enotify.pace (
    kind       text NOT NULL CHECK (kind IN ('site', 'domain')),
    name       text NOT NULL,
    domain     text NOT NULL,
    state      jsonb NOT NULL DEFAULT '{}',
    version    bigint NOT NULL,
    learned_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (kind, name)
) WITH (fillfactor = 50); -- room on each page for updated rows
CREATE INDEX pace_updated ON enotify.pace (updated_at);
COMMENT ON TABLE  enotify.pace IS
    'what nodes learned of sites, and how full the buckets of slow rates are, so that a restart or another node goes '
    'on with it. A row only where there is something to keep; enotify destination show puts it in words';
COMMENT ON COLUMN enotify.pace.kind IS 'site or domain: one name may be both';
COMMENT ON COLUMN enotify.pace.name IS 'the site or recipient domain';
COMMENT ON COLUMN enotify.pace.domain IS
    'a recipient domain of it: the node with the lease of that domain''s group may write the row';
COMMENT ON COLUMN enotify.pace.state IS
    'written and read by the sender alone; its times are by the clock of the node that wrote it, see learned_at';
COMMENT ON COLUMN enotify.pace.version IS
    'fence: grows with each write, and a write must name the version that it replaces';
COMMENT ON COLUMN enotify.pace.learned_at IS 'when the state was current, by the database''s clock';
COMMENT ON COLUMN enotify.pace.updated_at IS
    'when the row changed, by a node or an operator; nodes read the rows that changed since their last look';

CREATE TABLE enotify.node (
    id           int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name         text   NOT NULL,
    egress       inet[] NOT NULL CHECK (cardinality(egress) > 0),
    helo         text   NOT NULL,
    version      text   NOT NULL,
    incarnation  uuid   NOT NULL DEFAULT gen_random_uuid() UNIQUE,
    turn         text   NOT NULL DEFAULT 'strict' CHECK (turn IN ('strict', 'destination')),
    waits_for    bigint,
    stuck        bigint[] NOT NULL DEFAULT '{}',
    message_time interval CHECK (message_time > '0'),
    settings     jsonb  NOT NULL DEFAULT '{}',
    started_at   timestamptz NOT NULL DEFAULT now(),
    live_until   timestamptz NOT NULL,
    era          bigint NOT NULL DEFAULT 0,
    trouble      text NOT NULL DEFAULT '',
    trouble_at   timestamptz
);
COMMENT ON TABLE  enotify.node IS
    'sender processes, a row per start. Removed when the process stops, when its journal was replayed, or 30 days '
    'after it died';
COMMENT ON COLUMN enotify.node.id IS 'number of this run';
COMMENT ON COLUMN enotify.node.name IS 'the operator''s name for it';
COMMENT ON COLUMN enotify.node.egress IS 'addresses that receivers see it connect from';
COMMENT ON COLUMN enotify.node.helo IS 'name it gives at EHLO';
COMMENT ON COLUMN enotify.node.version IS 'version of the program';
COMMENT ON COLUMN enotify.node.incarnation IS 'identifies this run for ever, also in its journal';
COMMENT ON COLUMN enotify.node.turn IS
    'run --turn. destination: the next batch may begin while the last one only waits for slow sites, when all live '
    'nodes say so. strict: it may begin when everyone of the last one was tried, or the rest of it does not move';
COMMENT ON COLUMN enotify.node.waits_for IS
    'batch in state sending whose remaining recipients this node could not begin at some moment since the heartbeat '
    'before its last one: every domain waited for its rate or its site. NULL: none';
COMMENT ON COLUMN enotify.node.stuck IS
    'batches in state sending or draining that do not move at this node: for a while no first try of them has ended '
    'there, or it has none. When all live nodes say so, the turn passes';
COMMENT ON COLUMN enotify.node.message_time IS
    'recent mean time per accepted message on one connection, over all sites, opening the connection included; NULL: '
    'it has sent none';
COMMENT ON COLUMN enotify.node.settings IS
    'what else a preflight has to know of how this process sends: public_url, bounce_domain, smarthost, dkim_dir, as '
    'enotify run was told';
COMMENT ON COLUMN enotify.node.started_at IS 'when it joined';
COMMENT ON COLUMN enotify.node.live_until IS 'each heartbeat moves it ahead; past it the node is dead';
COMMENT ON COLUMN enotify.node.trouble IS 'why it sends nothing, in a few words; empty: nothing keeps it from sending';
COMMENT ON COLUMN enotify.node.trouble_at IS 'when it last said so; what is older than half a minute says nothing';
COMMENT ON COLUMN enotify.node.era IS
    'the last era (table era) for which the node has written what it knows; 0: none yet';

CREATE TABLE enotify.node_bar (
    node_id   int  NOT NULL REFERENCES enotify.node ON DELETE CASCADE,
    client_id int  NOT NULL REFERENCES enotify.client ON DELETE CASCADE,
    reason    text NOT NULL,
    since     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (node_id, client_id)
);
CREATE INDEX node_bar_client ON enotify.node_bar (client_id);
COMMENT ON TABLE  enotify.node_bar IS
    'clients that a node cannot send for by its own fault: it lacks the key that signs. It leaves them to the other '
    'nodes; where no node can, the guard blocks their batches';
COMMENT ON COLUMN enotify.node_bar.node_id IS 'the node';
COMMENT ON COLUMN enotify.node_bar.client_id IS 'the client';
COMMENT ON COLUMN enotify.node_bar.reason IS 'what is wrong at the node';
COMMENT ON COLUMN enotify.node_bar.since IS 'when the node found it';

CREATE TABLE enotify.node_mark (
    node_id int      NOT NULL REFERENCES enotify.node ON DELETE CASCADE,
    writer  smallint NOT NULL CHECK (writer >= 0),
    n       bigint   NOT NULL,
    PRIMARY KEY (node_id, writer)
) WITH (fillfactor = 20); -- a row is updated in every tick: room for its versions on one page
COMMENT ON TABLE  enotify.node_mark IS
    'how many transactions each writer of a node has committed. A number below the one that the node was told of '
    'means that the database went back and forgot some';
COMMENT ON COLUMN enotify.node_mark.node_id IS 'the node';
COMMENT ON COLUMN enotify.node_mark.writer IS '0: intents. From 1: writers of outcomes';
COMMENT ON COLUMN enotify.node_mark.n IS 'transactions committed';

CREATE TABLE enotify.era (
    singleton    boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    installation uuid   NOT NULL DEFAULT gen_random_uuid(),
    number       bigint NOT NULL DEFAULT 1,
    server       timestamptz NOT NULL DEFAULT pg_postmaster_start_time(),
    timeline     text NOT NULL DEFAULT left(pg_walfile_name(pg_current_wal_lsn()), 8),
    began_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    heard_at     timestamptz NOT NULL DEFAULT '-infinity',
    moved        boolean NOT NULL DEFAULT false,
    lost         boolean NOT NULL DEFAULT false,
    alive        int NOT NULL DEFAULT 0,
    settled_at   timestamptz DEFAULT clock_timestamp()
);
INSERT INTO enotify.era DEFAULT VALUES;
COMMENT ON TABLE  enotify.era IS
    'one row: the run of the database server that the nodes count on. A database can only go back when another server, '
    'or another run of it, takes over. Then a new era begins: nothing is sent before each node has written what it '
    'knows, or is known to be missing';
COMMENT ON COLUMN enotify.era.singleton IS 'true: there is one row';
COMMENT ON COLUMN enotify.era.installation IS 'identifies this database in journals, also after it was restored';
COMMENT ON COLUMN enotify.era.number IS 'counts eras';
COMMENT ON COLUMN enotify.era.server IS 'when the server of this era started';
COMMENT ON COLUMN enotify.era.timeline IS 'its timeline, see timeline()';
COMMENT ON COLUMN enotify.era.began_at IS 'when a node first saw this server';
COMMENT ON COLUMN enotify.era.heard_at IS
    'the last heartbeat before it: a node that was dead by then is not waited for';
COMMENT ON COLUMN enotify.era.moved IS 'whether the era before had another timeline';
COMMENT ON COLUMN enotify.era.lost IS 'whether a node found that commits are missing';
COMMENT ON COLUMN enotify.era.alive IS
    'how many nodes lived at once in the era before, as far as those know that have entered: the database may have '
    'forgotten some of them';
COMMENT ON COLUMN enotify.era.settled_at IS 'since when messages may begin again; NULL: they may not yet';

CREATE TABLE enotify.egress (
    address       inet PRIMARY KEY CHECK (masklen(address) = CASE family(address) WHEN 4 THEN 32 ELSE 128 END),
    pool          text NOT NULL DEFAULT 'default' REFERENCES enotify.pool,
    state         text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'draining', 'held')),
    reason        text NOT NULL DEFAULT '' CHECK (length(reason) <= 500),
    helo          text CHECK (helo ~ '^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$' AND length(helo) <= 253),
    bind          inet,
    weight        int NOT NULL DEFAULT 1 CHECK (weight BETWEEN 1 AND 1000),
    rate          int CHECK (rate > 0),
    rate_per      interval CHECK (rate_per > interval '0'),
    site_rate     int CHECK (site_rate > 0),
    site_rate_per interval CHECK (site_rate_per > interval '0'),
    note          text NOT NULL DEFAULT '' CHECK (length(note) <= 500),
    by_node       boolean NOT NULL DEFAULT false,
    added_at      timestamptz NOT NULL DEFAULT now(),
    updated_at    timestamptz NOT NULL DEFAULT now(),
    updated_by    name NOT NULL DEFAULT session_user,
    CHECK ((rate IS NULL) = (rate_per IS NULL)),
    CHECK ((site_rate IS NULL) = (site_rate_per IS NULL))
);
CREATE INDEX egress_pool ON enotify.egress (pool);
COMMENT ON TABLE  enotify.egress IS
    'addresses that receivers see mail come from. A node announces those it has (node.egress); an address without a '
    'row counts as active in the pool default';
COMMENT ON COLUMN enotify.egress.address IS 'as receivers see it';
COMMENT ON COLUMN enotify.egress.pool IS 'the pool that it belongs to';
COMMENT ON COLUMN enotify.egress.state IS
    'active: it sends. draining: it gets nothing more, for good. held: it gets nothing until it is set active again. '
    'The other addresses of its pool take over';
COMMENT ON COLUMN enotify.egress.reason IS 'why it is draining or held; for people';
COMMENT ON COLUMN enotify.egress.helo IS 'name at EHLO; NULL: that of the node';
COMMENT ON COLUMN enotify.egress.bind IS
    'local address to connect from, behind NAT; NULL: the address itself, where the node''s host has it';
COMMENT ON COLUMN enotify.egress.weight IS
    'its share of the sites of its pool, beside the weights of the other addresses';
COMMENT ON COLUMN enotify.egress.rate IS 'messages per rate_per that leave from it, over all nodes; NULL: no limit';
COMMENT ON COLUMN enotify.egress.rate_per IS 'the period of rate';
COMMENT ON COLUMN enotify.egress.site_rate IS
    'messages per site_rate_per that leave from it to each site; NULL: no limit';
COMMENT ON COLUMN enotify.egress.site_rate_per IS 'the period of site_rate';
COMMENT ON COLUMN enotify.egress.note IS 'the operator''s; for people';
COMMENT ON COLUMN enotify.egress.by_node IS
    'a node announced it before an operator named it. Such a row is removed when the last node that announced it is';
COMMENT ON COLUMN enotify.egress.added_at IS 'when it was added';
COMMENT ON COLUMN enotify.egress.updated_at IS 'when it was set';
COMMENT ON COLUMN enotify.egress.updated_by IS 'login that set it';

CREATE TABLE enotify.warmup (
    address  inet NOT NULL REFERENCES enotify.egress ON DELETE CASCADE,
    site     text NOT NULL CHECK (length(site) BETWEEN 1 AND 255),
    caps     int[] NOT NULL
        CHECK (cardinality(caps) BETWEEN 1 AND 365 AND array_position(caps, NULL) IS NULL AND 0 < ALL (caps)),
    zone     text NOT NULL DEFAULT 'UTC' CHECK (length(zone) BETWEEN 1 AND 64),
    overflow text NOT NULL DEFAULT 'wait' CHECK (overflow IN ('wait', 'pool')),
    step     int NOT NULL DEFAULT 0 CHECK (step >= 0),
    day      date,
    why      text NOT NULL DEFAULT '',
    set_at   timestamptz NOT NULL DEFAULT now(),
    set_by   name NOT NULL DEFAULT session_user,
    PRIMARY KEY (address, site)
);
COMMENT ON TABLE  enotify.warmup IS
    'how many messages a day may leave from a new address, to all sites or to one, until receivers know it';
COMMENT ON COLUMN enotify.warmup.address IS 'the egress address';
COMMENT ON COLUMN enotify.warmup.site IS 'the site; *: all sites together';
COMMENT ON COLUMN enotify.warmup.caps IS
    'messages on the first day, the second, and so on; after the last there is no cap';
COMMENT ON COLUMN enotify.warmup.zone IS 'time zone of its days, a name of the IANA database';
COMMENT ON COLUMN enotify.warmup.overflow IS
    'what is above the cap. wait: it waits for the next day. pool: it leaves from addresses of the pool that are warm';
COMMENT ON COLUMN enotify.warmup.step IS
    'which cap holds, counted from 0; cardinality(caps): none, the address is warm';
COMMENT ON COLUMN enotify.warmup.day IS 'the day for which step was found; NULL: none yet';
COMMENT ON COLUMN enotify.warmup.why IS 'why step stayed or went back; empty: it went on';
COMMENT ON COLUMN enotify.warmup.set_at IS 'when the plan was set';
COMMENT ON COLUMN enotify.warmup.set_by IS 'login that set it';

CREATE TABLE enotify.egress_day (
    address   inet NOT NULL,
    site      text NOT NULL,
    day       date NOT NULL,
    begun     int NOT NULL DEFAULT 0,
    accepted  int NOT NULL DEFAULT 0,
    refused   int NOT NULL DEFAULT 0,
    complaints int NOT NULL DEFAULT 0,
    PRIMARY KEY (address, site, day)
) WITH (fillfactor = 50); -- room on each page for updated rows
CREATE INDEX egress_day_day ON enotify.egress_day (day);
COMMENT ON TABLE  enotify.egress_day IS
    'messages per egress address and day, for 400 days. What is capped is counted with its intent, so that no kill and '
    'no second node sends more than the cap; the rest about once a second';
COMMENT ON COLUMN enotify.egress_day.address IS 'the egress address';
COMMENT ON COLUMN enotify.egress_day.site IS 'a site that has a plan of its own; *: all sites together';
COMMENT ON COLUMN enotify.egress_day.day IS 'in the time zone of the plan; UTC without one';
COMMENT ON COLUMN enotify.egress_day.begun IS 'messages that were let begin';
COMMENT ON COLUMN enotify.egress_day.accepted IS 'messages that receivers took';
COMMENT ON COLUMN enotify.egress_day.refused IS
    'replies that say the address sends too much or is distrusted: class spam_block, and 421 or 4.7.x of class '
    'throttled';
COMMENT ON COLUMN enotify.egress_day.complaints IS
    'complaints that came on that day about mail which left from the address while it warmed up';

CREATE TABLE enotify.warmup_mail (
    batch_id bigint NOT NULL,
    at       timestamptz NOT NULL DEFAULT now(),
    address  inet  NOT NULL,
    seqs     int[] NOT NULL
);
CREATE INDEX warmup_mail_batch ON enotify.warmup_mail (batch_id);
CREATE INDEX warmup_mail_at ON enotify.warmup_mail (at);
COMMENT ON TABLE  enotify.warmup_mail IS
    'which accepted messages left from which address while it warmed up, so that a complaint counts against that '
    'address alone. A row holds all messages that one transaction recorded, those read from the journal of a '
    'killed node too. Kept for 30 days';
COMMENT ON COLUMN enotify.warmup_mail.batch_id IS 'the batch';
COMMENT ON COLUMN enotify.warmup_mail.at IS 'when they were recorded';
COMMENT ON COLUMN enotify.warmup_mail.address IS 'the egress address';
COMMENT ON COLUMN enotify.warmup_mail.seqs IS 'recipients of the batch';

CREATE TABLE enotify.egress_rate (
    address    inet NOT NULL,
    site       text NOT NULL,
    paid_until timestamptz NOT NULL,
    PRIMARY KEY (address, site)
) WITH (fillfactor = 50); -- room on each page for updated rows
COMMENT ON TABLE  enotify.egress_rate IS
    'how far the rates of egress addresses are used up, so that they hold over all nodes and restarts';
COMMENT ON COLUMN enotify.egress_rate.address IS 'the egress address';
COMMENT ON COLUMN enotify.egress_rate.site IS 'the site of site_rate; *: of rate, all sites together';
COMMENT ON COLUMN enotify.egress_rate.paid_until IS
    'each message moves it ahead by the time that the rate gives one; it may be ahead of now by a second, or by one '
    'message';

CREATE TABLE enotify.lease (
    grp      smallint PRIMARY KEY,
    node_id  int,
    epoch    bigint NOT NULL DEFAULT 0,
    until    timestamptz NOT NULL DEFAULT '-infinity',
    for_node int
) WITH (fillfactor = 50); -- room on each page for updated rows
INSERT INTO enotify.lease (grp) SELECT g FROM generate_series(0, 63) g;
COMMENT ON TABLE  enotify.lease IS
    'which node sends to which group of recipient domains, so that a rate kept by one process is exact for all nodes';
COMMENT ON COLUMN enotify.lease.grp IS 'group of domains';
COMMENT ON COLUMN enotify.lease.node_id IS 'holder; NULL: a node gave the group back with nothing in flight';
COMMENT ON COLUMN enotify.lease.epoch IS 'fence: grows each time the group changes hands';
COMMENT ON COLUMN enotify.lease.until IS 'by the database''s clock; past it another node may take the group';
COMMENT ON COLUMN enotify.lease.for_node IS
    'the node that has the egress address for what is due in the group: while that node lives, no other takes the '
    'group. NULL: any node';

CREATE TABLE enotify.lease_told (
    era   bigint   NOT NULL,
    grp   smallint NOT NULL,
    epoch bigint   NOT NULL,
    held  boolean  NOT NULL,
    PRIMARY KEY (era, grp, epoch)
);
COMMENT ON TABLE  enotify.lease_told IS
    'leases that the nodes say they had, at the begin of an era that is not settled: the database may have forgotten '
    'that a group changed hands. A group that no node tells everything about may be a missing node''s';
COMMENT ON COLUMN enotify.lease_told.era IS 'the era that the node enters';
COMMENT ON COLUMN enotify.lease_told.grp IS 'group of domains';
COMMENT ON COLUMN enotify.lease_told.epoch IS 'fence of the lease';
COMMENT ON COLUMN enotify.lease_told.held IS 'whether the node still had it';

CREATE TABLE enotify.alert_log (
    id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    kind      text NOT NULL,
    client_id int REFERENCES enotify.client ON DELETE CASCADE,
    batch_id  bigint,
    site      text NOT NULL DEFAULT '',
    text      text NOT NULL DEFAULT '',
    next      text NOT NULL DEFAULT ''
);
CREATE INDEX alert_log_at ON enotify.alert_log (at);
COMMENT ON TABLE  enotify.alert_log IS
    'facts that somebody should act on, for 30 days. The channel enotify_alert has only their numbers, since every '
    'login may listen; the view enotify.alert shows a login those of its clients';
COMMENT ON COLUMN enotify.alert_log.id IS 'number, which NOTIFY tells';
COMMENT ON COLUMN enotify.alert_log.at IS 'when it was raised';
COMMENT ON COLUMN enotify.alert_log.kind IS 'a word for programs, such as client_blocked';
COMMENT ON COLUMN enotify.alert_log.client_id IS 'the client; NULL: it is about none, or about all';
COMMENT ON COLUMN enotify.alert_log.batch_id IS 'the batch; NULL: it is about none';
COMMENT ON COLUMN enotify.alert_log.site IS 'the site; empty: it is about none';
COMMENT ON COLUMN enotify.alert_log.text IS 'a sentence for people';
COMMENT ON COLUMN enotify.alert_log.next IS 'the command to go on with';

CREATE TABLE enotify.verdict (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    client_id     int  NOT NULL REFERENCES enotify.client ON DELETE CASCADE,
    identity      text NOT NULL CHECK (identity IN ('mailfrom', 'from', 'dkim', 'dmarc')),
    domain        text NOT NULL,
    egress        inet NOT NULL,
    result        text NOT NULL
        CHECK (result IN ('pass', 'fail', 'softfail', 'neutral', 'none', 'temperror', 'permerror')),
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
COMMENT ON TABLE  enotify.verdict IS
    'result of the guard''s check of a client and an egress address. A changed result is a new row, so the history of '
    'a client''s record is here';
COMMENT ON COLUMN enotify.verdict.id IS 'number';
COMMENT ON COLUMN enotify.verdict.client_id IS 'the client';
COMMENT ON COLUMN enotify.verdict.identity IS
    'mailfrom: the domain of the envelope sender. from: the domain of From: where it differs. dkim: the keys that '
    'sign; record is what they publish, a zone line each. dmarc: the policy of the domain of From:, listed only when '
    'neither SPF nor DKIM can pass aligned with it';
COMMENT ON COLUMN enotify.verdict.domain IS 'the domain that was checked';
COMMENT ON COLUMN enotify.verdict.egress IS 'the address that was checked';
COMMENT ON COLUMN enotify.verdict.result IS
    'RFC 7208 §2.6; for dkim pass, or fail where a node cannot sign; for dmarc fail or temperror';
COMMENT ON COLUMN enotify.verdict.blocks IS 'whether this client''s mail must not be sent from this address';
COMMENT ON COLUMN enotify.verdict.record IS 'the record found; empty: none';
COMMENT ON COLUMN enotify.verdict.explanation IS 'the term that decided, and how the evaluation reached it';
COMMENT ON COLUMN enotify.verdict.fix IS 'the zone line that would mend it; empty: none is needed or known';
COMMENT ON COLUMN enotify.verdict.since IS 'when this result was first seen';
COMMENT ON COLUMN enotify.verdict.checked_at IS 'when this result was last confirmed';
COMMENT ON COLUMN enotify.verdict.valid_until IS 'by TTL; the guard checks again after this time';
COMMENT ON COLUMN enotify.verdict.superseded_at IS 'when another result replaced it; NULL: it is the current one';
