package insight

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// A LoginLimit is how many connections the login of an application may open.
type LoginLimit struct {
	Login string
	Most  int // -1: no limit
}

// Logins that may run nodes or steer, as the owner of the schema may, are not applications'.
const loginLimitsSQL = `
SELECT r.rolname::text AS login, r.rolconnlimit AS most FROM pg_roles r
WHERE r.rolcanlogin AND NOT r.rolsuper
  AND r.rolname IN (SELECT l.login FROM enotify.client_login l UNION SELECT b.created_by FROM enotify.batch b)
  AND NOT pg_has_role(r.oid, 'enotify_sender', 'MEMBER') AND NOT pg_has_role(r.oid, 'enotify_admin', 'MEMBER')
  AND NOT pg_has_role(r.oid, (SELECT n.nspowner FROM pg_namespace n WHERE n.nspname = 'enotify'), 'MEMBER')
ORDER BY r.rolname`

// LoginLimits lists the logins of applications: those tied to clients, and those that have made a batch.
func (r Reader) LoginLimits(ctx context.Context) ([]LoginLimit, error) {
	return list(ctx, r, pgx.RowToStructByName[LoginLimit], loginLimitsSQL)
}

// Connections that PostgreSQL keeps for superusers, and from version 16 on for members of
// pg_use_reserved_connections, do not count.
const placesSQL = `
SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
     - coalesce(current_setting('reserved_connections', true)::int, 0)`

// Places is how many connections the server has for logins without privileges.
func (r Reader) Places(ctx context.Context) (n int, err error) {
	err = r.row(ctx, placesSQL)(&n)
	return n, err
}

// A LongTransaction is a transaction that has been open for long. While it is, PostgreSQL
// keeps every version of each row that has changed since it began.
type LongTransaction struct {
	PID   int32
	Login string
	State string // as pg_stat_activity has it, such as "idle in transaction"
	Age   time.Duration
}

// LongTransactionAge is the age at which people are told of one. Beside one of a minute and
// a half, with 1,700 recipients sent a second, a recipient took 1.6 times as long.
const LongTransactionAge = 5 * time.Minute

const longTransactionsSQL = `
SELECT a.pid, a.usename::text AS login, coalesce(a.state, '') AS state, now() - a.xact_start AS age
FROM pg_stat_activity a
WHERE a.datname = current_database() AND a.backend_type = 'client backend' AND a.pid <> pg_backend_pid()
  AND (a.backend_xmin IS NOT NULL OR a.backend_xid IS NOT NULL) AND a.xact_start < now() - $1::interval
ORDER BY a.xact_start`

// LongTransactions lists the transactions of this database that have been open for so long,
// the longest first. Transactions of other logins are only seen where SeesTransactions says
// so.
func (r Reader) LongTransactions(ctx context.Context, open time.Duration) ([]LongTransaction, error) {
	return list(ctx, r, pgx.RowToStructByName[LongTransaction], longTransactionsSQL, open)
}

const seesTransactionsSQL = `SELECT pg_has_role('pg_read_all_stats', 'USAGE')`

// SeesTransactions reports whether this login may see the transactions of others.
func (r Reader) SeesTransactions(ctx context.Context) (sees bool, err error) {
	err = r.row(ctx, seesTransactionsSQL)(&sees)
	return sees, err
}
