-- HMAC-SHA256 (RFC 2104): SHA-256 is what PostgreSQL has without an extension.
CREATE OR REPLACE FUNCTION enotify.hashed_address(address text) RETURNS text
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN (SELECT 'hmac:' || encode(sha256(
                k.outer_pad || sha256(k.inner_pad || convert_to(lower(hashed_address.address), 'UTF8'))), 'hex')
            FROM enotify.hash_key k);
END $$;

COMMENT ON FUNCTION enotify.hashed_address IS
    'what stands for a forgotten address in enotify.suppression: HMAC-SHA256 under the key of enotify.hash_key; NULL: '
    'there is no key, and so no such suppression';

GRANT EXECUTE ON FUNCTION enotify.hashed_address TO enotify_admin, enotify_sender;
