-- Who may do what with the tables. Functions and views have their grants in their own files (functions/).
--
-- enotify_app enqueues, enotify_admin steers, enotify_sender runs. PUBLIC has nothing: the end of every migration
-- revokes what PostgreSQL grants it by default.

GRANT USAGE ON SCHEMA enotify TO enotify_app, enotify_admin, enotify_sender;

-- The program reads at its start whether it fits the schema, whatever its login.
GRANT SELECT ON enotify.schema_version, enotify.schema_function TO enotify_app, enotify_admin, enotify_sender;

-- Applications stage recipients; the owner of a staged row is set by its default. All else goes by functions and views.
GRANT INSERT (batch_id, address, data) ON enotify.recipient_in TO enotify_app, enotify_admin;

GRANT SELECT ON
    enotify.alert_log,
    enotify.attachment, enotify.attempt, enotify.auth_refusal, enotify.batch, enotify.batch_count,
    enotify.batch_domain, enotify.batch_log, enotify.client, enotify.client_login, enotify.client_sent,
    enotify.complaint_level,
    enotify.destination, enotify.domain, enotify.doubt, enotify.egress, enotify.egress_day, enotify.egress_rate,
    enotify.forgotten, enotify.retention,
    enotify.counted_reply, enotify.era, enotify.lease, enotify.lease_told, enotify.mta_sts, enotify.node,
    enotify.node_bar, enotify.node_mark,
    enotify.outcome, enotify.pace, enotify.pool,
    enotify.preflight, enotify.ready_draft, enotify.recipient, enotify.recipient_in, enotify.report, enotify.retry,
    enotify.send_window, enotify.site, enotify.staged_size, enotify.suppression,
    enotify.suppression_due, enotify.tls_report, enotify.tls_result,
    enotify.verdict, enotify.warmup, enotify.warmup_mail
    TO enotify_admin, enotify_sender;

GRANT INSERT, UPDATE, DELETE ON
    enotify.client, enotify.client_login, enotify.destination, enotify.egress, enotify.pool, enotify.submit_lock,
    enotify.suppression, enotify.warmup
    TO enotify_admin;
GRANT DELETE ON enotify.counted_reply TO enotify_admin;
GRANT INSERT (batch_id, verdict, line, forced, report) ON enotify.preflight TO enotify_admin;
GRANT UPDATE (keep, updated_at, updated_by) ON enotify.retention TO enotify_admin;
-- Not the secret, only whether there is one.
GRANT SELECT (singleton, created_at) ON enotify.hash_key TO enotify_admin, enotify_sender;
-- Not the secret: an operator can make and retire a key, and forge nothing.
GRANT SELECT (id, created_at, retired_at) ON enotify.token_key TO enotify_admin;

-- A node knows tokens by their hashes, which open nothing.
GRANT SELECT ON enotify.token TO enotify_sender;
GRANT SELECT (id, login, note, created_at, created_by, retired_at), INSERT (login, hash, note), UPDATE (retired_at)
    ON enotify.token TO enotify_admin;

GRANT INSERT, UPDATE, DELETE ON
    enotify.attempt, enotify.auth_refusal, enotify.complaint_level, enotify.doubt, enotify.counted_reply,
    enotify.egress_day, enotify.egress_rate,
    enotify.lease_told, enotify.mta_sts, enotify.client_sent, enotify.send_window,
    enotify.node, enotify.node_bar,
    enotify.node_mark, enotify.outcome, enotify.pace, enotify.report, enotify.retry, enotify.suppression,
    enotify.suppression_due, enotify.tls_report, enotify.tls_result, enotify.verdict, enotify.warmup_mail
    TO enotify_sender;
GRANT DELETE ON enotify.recipient_in, enotify.staged_size TO enotify_sender;
GRANT INSERT ON enotify.site TO enotify_sender;
-- A node adds the addresses that it announces, moves plans of warm-up on, and changes nothing else of them.
GRANT INSERT, DELETE ON enotify.egress TO enotify_sender;
GRANT UPDATE (step, day, why) ON enotify.warmup TO enotify_sender;
GRANT SELECT ON enotify.token_key TO enotify_sender;
-- A node moves batches, domains and leases, and changes nothing else of them.
GRANT UPDATE (state, reason, fault, started_at, turn_at, turn_intents, passed_at, yielded_at, surveyed_at,
             finished_at, requeues)
    ON enotify.batch TO enotify_sender;
GRANT UPDATE (intent_seq, grp) ON enotify.batch_domain TO enotify_sender;
GRANT UPDATE (held_until) ON enotify.ready_draft TO enotify_sender;
GRANT UPDATE (refused_at, refused_why, bulk_since, spent_until) ON enotify.client TO enotify_sender;
GRANT UPDATE (grp, site_id, surveyed_at, surveyed_until, no_mail, no_mail_code, no_mail_enhanced, no_mail_reply)
    ON enotify.domain TO enotify_sender;
GRANT UPDATE ON enotify.lease TO enotify_sender;
GRANT UPDATE (number, server, timeline, began_at, heard_at, moved, lost, alive, settled_at)
    ON enotify.era TO enotify_sender;
