CREATE OR REPLACE FUNCTION enotify.test_webhook(webhook int) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE made bigint;
BEGIN
    INSERT INTO enotify.event (client_id, kind, data)
    SELECT w.client_id, 'test', jsonb_build_object('webhook', w.id) FROM enotify.webhook w
    WHERE w.id = test_webhook.webhook
    RETURNING id INTO made;
    UPDATE enotify.webhook w SET due_at = now() WHERE w.id = test_webhook.webhook;
    PERFORM pg_notify('enotify', 'webhook');
    RETURN made;
END $$;

COMMENT ON FUNCTION enotify.test_webhook IS
    'has a webhook pushed a test event, and what waits before it; returns event.id, NULL when there is no such webhook';

GRANT EXECUTE ON FUNCTION enotify.test_webhook TO enotify_admin;
