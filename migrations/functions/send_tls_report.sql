-- The batch and the note that there is one are committed together: whoever was killed in between has sent nothing.
CREATE OR REPLACE FUNCTION enotify.send_tls_report(
    day date, domain text, from_address text, subject text, body text, headers jsonb, filename text, content bytea,
    addresses text[]
) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE made bigint;
BEGIN
    PERFORM FROM enotify.tls_report t
    WHERE t.day = day AND t.domain = domain AND t.batch_id IS NULL AND t.finished_at IS NULL FOR UPDATE;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    made := enotify.create_batch(format('tls-report/%s/%s/%s', day, domain, clock_timestamp()), from_address, subject,
        body, priority => -1, expires_at => now() + interval '1 day', headers => headers);
    PERFORM enotify.add_attachment(made, filename, content, 'application/tlsrpt+gzip');
    PERFORM enotify.add_recipients(made, addresses);
    UPDATE enotify.batch b SET tls_report = true WHERE b.id = made;
    PERFORM enotify.submit_batch(made, cardinality(addresses));
    UPDATE enotify.tls_report t SET batch_id = made WHERE t.day = day AND t.domain = domain;
    RETURN made;
END $$;

COMMENT ON FUNCTION enotify.send_tls_report IS
    'queues the report on TLS of a day to a recipient domain, and returns its batch; NULL when there is one already. '
    'It has a lower priority than all others, and ends after a day (RFC 8460 §5.5)';

GRANT EXECUTE ON FUNCTION enotify.send_tls_report TO enotify_sender;
