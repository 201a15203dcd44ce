-- Enumerations. The roles enotify_app, enotify_admin and enotify_sender are made before (found.go): they belong to the
-- whole cluster, not to this schema.

CREATE TYPE enotify.batch_state AS ENUM
    ('draft', 'queued', 'sending', 'draining', 'retrying', 'paused', 'blocked', 'done', 'cancelled');
CREATE TYPE enotify.recipient_state AS ENUM
    ('delivered', 'bounced', 'suppressed', 'invalid', 'expired', 'unknown', 'cancelled');
CREATE TYPE enotify.reply_class AS ENUM
    ('offline', 'throttled', 'no_such_user', 'mailbox_full', 'auth_rejected', 'spam_block', 'policy', 'content',
     'other', 'not_begun');
COMMENT ON TYPE enotify.batch_state IS 'state of a batch; enotify.batch_moves() lists the allowed changes';
COMMENT ON TYPE enotify.recipient_state IS
    'final state of a recipient; pending, sending and deferred recipients have no outcome yet and so no such state';
COMMENT ON TYPE enotify.reply_class IS
    'why a receiver refused a message; not_begun: no attempt was made, the recipient waits in retry for its first';
