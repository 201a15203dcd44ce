package queue

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
)

// session lists the settings of our connections.
//
// The keepalives have the server notice within a lease that our host is gone, which
// says nothing when it loses power: else its transactions, and the locks that
// its successor waits for, last for two hours (tcp_keepalive_time in tcp(7)).
// The last is for an answer that nobody acknowledges, the others for when
// nothing is under way (runtime-config-connection.html of PostgreSQL).
//
// Our statements take about a millisecond, and their plans are costed for the worst case:
// compiling them (jit) takes a hundred. Their literals follow the SQL standard, and how long
// they may take is ours to say, whatever the database or the login says.
var session = []struct {
	setting, value string
	since          int // major version of PostgreSQL
}{
	{"tcp_keepalives_idle", "2", 0},     // s
	{"tcp_keepalives_interval", "1", 0}, // s
	{"tcp_keepalives_count", "2", 0},
	{"tcp_user_timeout", "4000", 0}, // ms
	{"jit", "off", 0},
	{"standard_conforming_strings", "on", 0},
	{"statement_timeout", "0", 0},
	{"lock_timeout", "0", 0},
	{"idle_in_transaction_session_timeout", "0", 0},
	{"idle_session_timeout", "0", 0},
	{"transaction_timeout", "0", 17},
}

// errPooler says that a connection leads to a pooler, such as PgBouncer.
var errPooler = errors.New("the connection leads to a pooler")

// prepare sets what the database URL does not, unless the connection leads to a
// pooler: one that gives each transaction to another session of the server would
// set those of its other clients. direct is false there. We know one by the process
// id that it made up for the connection: the server's session has another one.
//
// The settings are no parameters of the start of a session: poolers refuse
// those that they do not know.
func prepare(ctx context.Context, c *pgx.Conn, set map[string]string) (direct bool, err error) {
	version := c.PgConn().ParameterStatus("server_version") // "15.8 (Debian 15.8-0+deb12u1)", "18beta2"
	digits := strings.IndexFunc(version+".", func(r rune) bool { return r < '0' || r > '9' })
	major, _ := strconv.Atoi(version[:digits]) // 0 when it is absurd
	var settings []string
	for _, k := range session {
		if _, ok := set[k.setting]; !ok && k.since <= major {
			settings = append(settings, fmt.Sprintf("('%s', '%s')", k.setting, k.value))
		}
	}
	pid := c.PgConn().PID()
	sql := fmt.Sprintf(`SELECT pg_backend_pid() = %d, count(set_config(name, value, false))
FROM (VALUES %s) s (name, value) WHERE pg_backend_pid() = %[1]d`, pid, strings.Join(settings, ", "))
	rows, err := c.PgConn().Exec(ctx, sql).ReadAll()
	if err != nil {
		return false, err
	}
	return string(rows[0].Rows[0][0]) == "t", nil
}

// Pooler reports whether the database is behind a pooler. Then no session of the
// server is ours: nothing is prepared there, set or listened to.
func (db *DB) Pooler() bool { return db.pooler.Load() }

const hinderingSQL = `
SELECT format('ALTER ROLE %I IN DATABASE %I SET %s = %s', session_user, current_database(), s.name, s.want)
FROM (VALUES ('statement_timeout', '0'), ('lock_timeout', '0'), ('idle_in_transaction_session_timeout', '0'),
             ('transaction_timeout', '0'), ('standard_conforming_strings', 'on')) s (name, want)
JOIN pg_settings p USING (name) WHERE p.setting <> s.want ORDER BY 1`

// Hindering lists the statements that undo what the database or the login sets for
// our sessions and may end them early. Only behind a pooler are there any: elsewhere
// our sessions set it themselves.
func (db *DB) Hindering(ctx context.Context) ([]string, error) {
	rows, err := db.pool.Query(ctx, hinderingSQL)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}
