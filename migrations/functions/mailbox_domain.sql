CREATE OR REPLACE FUNCTION enotify.mailbox_domain(mailbox text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$ SELECT split_part(mailbox, '@', -1) $$;

COMMENT ON FUNCTION enotify.mailbox_domain IS 'the part after the last @';

GRANT EXECUTE ON FUNCTION enotify.mailbox_domain TO enotify_admin, enotify_sender;
