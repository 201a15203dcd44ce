-- In PL/pgSQL, which keeps its plan: triggers ask this once for each statement that writes outcomes.
CREATE OR REPLACE FUNCTION enotify.events_on() RETURNS boolean
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (SELECT s.every OR EXISTS (SELECT FROM enotify.event_client) FROM enotify.event_setting s);
END $$;

COMMENT ON FUNCTION enotify.events_on IS 'whether events of any client are recorded';
