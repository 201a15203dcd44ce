// Package dane checks the certificate of a mail host against the TLSA records
// that the host's owner publishes in signed DNS (RFC 6698, and RFC 7672 for
// SMTP). Whether the records can be trusted is for the caller to find out.
package dane
