package queue

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// ErrAway says that no database answered, and that one may later: it restarts,
// moves, or was not started yet.
var ErrAway = errors.New("the database went away")

// An away is the error of a database that did not let us in, in one line.
type away struct{ text string }

func (e *away) Error() string        { return e.text }
func (e *away) Is(target error) bool { return target == ErrAway }

// passing are the refusals of a server, or of a pooler before it, that end by
// themselves: it starts, stops, or has no connection left; of all others an
// operator must change something.
var passing = []string{
	"57P03", "57P01", "57P02", // cannot_connect_now, admin_shutdown, crash_shutdown
	"53300",          // too_many_connections
	"08006", "08001", // connection_failure, sqlclient_unable_to_establish_sqlconnection
	"08P01", // what PgBouncer says when it has no server
}

// badURL says what is wrong with a database URL. It repeats neither the URL,
// which may hold a password, nor the words of the driver around the cause.
func badURL(err error) error {
	why := "it is neither a URL nor pairs of KEYWORD=VALUE"
	if bad := (*pgconn.ParseConfigError)(nil); errors.As(err, &bad) {
		if cause := errors.Unwrap(bad); cause != nil && !strings.Contains(cause.Error(), "keyword/value") {
			why = oneLine(cause.Error())
		}
	}
	return fmt.Errorf("the database URL cannot be read: %s; want postgres://USER:PASSWORD@HOST:5432/DATABASE", why)
}

// unreachable says why the database of a configuration could not be opened.
func unreachable(c *pgx.ConnConfig, err error) error {
	hosts := []string{net.JoinHostPort(c.Host, fmt.Sprint(c.Port))}
	for _, f := range c.Fallbacks { // the same host with other encryption, or the next one
		if host := net.JoinHostPort(f.Host, fmt.Sprint(f.Port)); !slices.Contains(hosts, host) {
			hosts = append(hosts, host)
		}
	}
	where := strings.Join(hosts, " or ")
	if refused := (*pgconn.PgError)(nil); errors.As(err, &refused) {
		text := fmt.Sprintf("database %s at %s refuses user %s: %s", c.Database, where, c.User,
			oneLine(refused.Message))
		if slices.Contains(passing, refused.Code) {
			return &away{text}
		}
		return errors.New(text + cure(c, refused.Code))
	}
	if bad := (*tls.CertificateVerificationError)(nil); errors.As(err, &bad) {
		return fmt.Errorf("the certificate of the database at %s is not valid: %w; see sslrootcert and sslmode of the database URL", where, bad.Err)
	}
	if len(hosts) > 1 && strings.Contains(err.Error(), "read only connection") {
		return &away{fmt.Sprintf("no database that can be written to at %s; promote a standby, or wait until one is",
			where)}
	}
	return &away{fmt.Sprintf("no database at %s: %s", where, noAnswer(c, err))}
}

// cure is what to do about a refusal that does not end by itself.
func cure(c *pgx.ConnConfig, code string) string {
	switch code {
	case "28P01": // invalid_password
		return "; correct the user and the password of the database URL, or of PGPASSWORD"
	case "28000": // invalid_authorization_specification: no such role, or none that pg_hba.conf lets in
		return "; correct the database URL, or have the role and pg_hba.conf of the server let this user in"
	case "3D000": // invalid_catalog_name
		return "; correct the database URL, or make the database: CREATE DATABASE " +
			pgx.Identifier{c.Database}.Sanitize()
	case "42501": // insufficient_privilege
		return fmt.Sprintf("; as the owner of the database, GRANT CONNECT ON DATABASE %s TO %s",
			pgx.Identifier{c.Database}.Sanitize(), pgx.Identifier{c.User}.Sanitize())
	}
	return ""
}

// noAnswer says why no server answered, and what to do.
func noAnswer(c *pgx.ConnConfig, err error) string {
	const start = "; start it or set --database-url"
	if unknown := (*net.DNSError)(nil); errors.As(err, &unknown) {
		if unknown.IsNotFound {
			return fmt.Sprintf("the DNS knows no host %s; correct the database URL", unknown.Name)
		}
		return fmt.Sprintf("the DNS does not answer for %s; try again, or write the address in place of the name",
			unknown.Name)
	}
	if op := (*net.OpError)(nil); errors.As(err, &op) { // of many, one for each address of the host
		return oneLine(op.Err.Error()) + start
	}
	if c.TLSConfig != nil && strings.Contains(err.Error(), "server refused TLS connection") {
		return "it offers no TLS, which sslmode of the database URL asks for; set ssl = on in postgresql.conf, or another sslmode"
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return "no answer in time" + start
	}
	cause := err
	if in := (*pgconn.ConnectError)(nil); errors.As(err, &in) && errors.Unwrap(in) != nil {
		cause = errors.Unwrap(in)
	}
	return oneLine(cause.Error()) + start
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
