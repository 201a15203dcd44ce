-- Keys that sign what comes back to us: return paths and unsubscribe addresses. They are the cluster's, so that a
-- bounce may come in at another node than the one that sent.

CREATE TABLE enotify.token_key (
    id         text PRIMARY KEY CHECK (id ~ '^[a-z0-9]+$' AND length(id) <= 4),
    secret     bytea NOT NULL CHECK (length(secret) >= 32),
    created_at timestamptz NOT NULL DEFAULT now(),
    retired_at timestamptz
);
COMMENT ON TABLE  enotify.token_key IS 'keys of signed return paths and unsubscribe addresses; the newest signs, all that are not retired verify';
COMMENT ON COLUMN enotify.token_key.id IS 'its name in a token';
COMMENT ON COLUMN enotify.token_key.secret IS 'of HMAC-SHA256';
COMMENT ON COLUMN enotify.token_key.created_at IS 'when';
COMMENT ON COLUMN enotify.token_key.retired_at IS 'since when what it signed is refused; NULL: it is good';

REVOKE ALL ON enotify.token_key FROM PUBLIC;
GRANT SELECT, INSERT, UPDATE ON enotify.token_key TO enotify_sender;
