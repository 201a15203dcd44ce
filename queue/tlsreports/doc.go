// Package tlsreports keeps how TLS with mail hosts ended, counted by day and recipient
// domain, and which node sends the report of a day that a domain asks for (RFC 8460).
// Package sender/tlsrpt counts and composes; cmd/enotify/node sends.
package tlsreports
