-- Signatures, and how mail to a destination is encrypted.

ALTER TABLE enotify.client ADD COLUMN dkim_selectors text[] NOT NULL DEFAULT '{}' CHECK (
    cardinality(dkim_selectors) <= 4 AND array_position(dkim_selectors, NULL) IS NULL AND
    '.' || array_to_string(dkim_selectors, '.') ~ '^(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*\.?$');
COMMENT ON COLUMN enotify.client.dkim_selectors IS 'selectors (RFC 6376 §3.1) of the keys that sign its mail, a signature each; empty: it is not signed. The private keys are with the nodes';

ALTER TABLE enotify.verdict DROP CONSTRAINT verdict_identity_check, ADD CONSTRAINT verdict_identity_check CHECK (identity IN ('mailfrom', 'from', 'dkim'));
COMMENT ON COLUMN enotify.verdict.identity IS 'mailfrom: the envelope sender''s domain; from: the domain of From: where it differs; dkim: a key to sign with, listed only when it cannot be used';
COMMENT ON COLUMN enotify.verdict.result IS 'RFC 7208 §2.6; of dkim: fail';

ALTER TABLE enotify.destination ADD COLUMN tls text CHECK (tls IN ('opportunistic', 'required', 'verified'));
COMMENT ON COLUMN enotify.destination.tls IS 'opportunistic: encrypted where that works; required: never in the clear; verified: and to a host whose certificate is good. NULL: as the row ''*'' says, and that as run --tls';

-- As after another envelope sender, nothing leaves before the guard has looked.
CREATE TRIGGER signs AFTER UPDATE OF return_path, dkim_selectors ON enotify.client
    FOR EACH ROW WHEN (NEW IS DISTINCT FROM OLD) EXECUTE FUNCTION enotify.client_moved();
COMMENT ON FUNCTION enotify.client_moved() IS 'has the guard look again at a client whose envelope sender or DKIM selectors change';

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA enotify FROM PUBLIC;
