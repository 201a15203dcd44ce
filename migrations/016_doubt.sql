-- Whom a dead node left in doubt, so that its journal can say better.

ALTER TABLE enotify.node ADD COLUMN incarnation uuid NOT NULL DEFAULT gen_random_uuid() UNIQUE;
COMMENT ON COLUMN enotify.node.incarnation IS 'names this run for good, also where it is written in a journal';
COMMENT ON TABLE  enotify.node IS 'running sender processes; a row per start, removed when it stops, its journal is replayed, or it has been dead for a month';

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
COMMENT ON TABLE  enotify.doubt IS 'which outcomes are unknown because a node died: its journal may show that it had not begun, and then they are sent to';
COMMENT ON COLUMN enotify.doubt.batch_id IS 'the batch';
COMMENT ON COLUMN enotify.doubt.at IS 'that of the outcome: one with another time came later, and is not what this is about';
COMMENT ON COLUMN enotify.doubt.seq IS 'the recipient';
COMMENT ON COLUMN enotify.doubt.node_id IS 'the node that had the recipient when it died';
COMMENT ON COLUMN enotify.doubt.attempts IS 'tries that count, before that one';
COMMENT ON COLUMN enotify.doubt.tries IS 'all tries, that one included';

REVOKE ALL ON ALL TABLES IN SCHEMA enotify FROM PUBLIC;
GRANT SELECT ON enotify.doubt TO enotify_admin;
GRANT SELECT, INSERT, UPDATE, DELETE ON enotify.doubt TO enotify_sender;
