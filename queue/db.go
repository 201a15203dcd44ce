package queue

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// A DB is a migrated enotify database. It is safe for concurrent use.
type DB struct {
	pool *pgxpool.Pool
	life context.Context // until it is closed
	end  context.CancelFunc
}

// Open connects to the database at url, a PostgreSQL connection URI or
// keyword string. With maxConns 0 the pool has the size that url or pgx says.
// The error is one line that names host and port and holds no password.
func Open(ctx context.Context, url string, maxConns int32) (*DB, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("database URL: %w", err)
	}
	if maxConns > 0 {
		config.MaxConns = maxConns
	}
	config.ConnConfig.RuntimeParams["application_name"] = "enotify"
	config.AfterConnect = func(ctx context.Context, c *pgx.Conn) error {
		return prepare(ctx, c, config.ConnConfig.RuntimeParams)
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("database: %w", err)
	}
	if err := pool.Ping(ctx); err != nil {
		pool.Close()
		return nil, unreachable(config.ConnConfig, err)
	}
	db := &DB{pool: pool}
	db.life, db.end = context.WithCancel(context.WithoutCancel(ctx))
	return db, nil
}

// session is what our connections are set to.
//
// The keepalives have the server notice within a lease that our host is gone, which
// says nothing when it loses power: else its transactions, and the locks that
// its successor waits for, last for two hours (tcp_keepalive_time in tcp(7)).
// The last is for an answer that nobody acknowledges, the others for when
// nothing is under way (runtime-config-connection.html of PostgreSQL).
//
// Our statements take a millisecond or so, and are planned for the worst case:
// to compile them takes a hundred. Their literals are those of the SQL standard,
// whatever the database or the login says.
var session = []struct{ setting, value string }{
	{"tcp_keepalives_idle", "2"},     // s
	{"tcp_keepalives_interval", "1"}, // s
	{"tcp_keepalives_count", "2"},
	{"tcp_user_timeout", "4000"}, // ms
	{"jit", "off"},
	{"standard_conforming_strings", "on"},
}

// prepare sets what the database URL does not. They are no parameters of the
// start of a session: poolers such as PgBouncer refuse those that they do not know.
func prepare(ctx context.Context, c *pgx.Conn, set map[string]string) error {
	var sql strings.Builder
	for _, k := range session {
		if _, ok := set[k.setting]; !ok {
			fmt.Fprintf(&sql, "SET %s = %s;", k.setting, k.value)
		}
	}
	_, err := c.Exec(ctx, sql.String())
	return err
}

func unreachable(c *pgx.ConnConfig, err error) error {
	where := net.JoinHostPort(c.Host, fmt.Sprint(c.Port))
	if refused := (*pgconn.PgError)(nil); errors.As(err, &refused) {
		return fmt.Errorf("database %s at %s refuses user %s: %s", c.Database, where, c.User, refused.Message)
	}
	if op := (*net.OpError)(nil); errors.As(err, &op) { // of many, one for each address of the host
		err = op.Err
	}
	return fmt.Errorf("no database at %s: %s; start it or set --database-url", where, strings.ReplaceAll(err.Error(), "\n", " "))
}

// Close closes all connections.
func (db *DB) Close() {
	db.end()
	db.pool.Close()
}

// Pool is the connections, for the packages below this one.
func (db *DB) Pool() *pgxpool.Pool { return db.pool }

// Life ends with Close.
func (db *DB) Life() context.Context { return db.life }

// Ping asks whether the database answers.
func (db *DB) Ping(ctx context.Context) error { return db.pool.Ping(ctx) }

const openBatchesSQL = `
SELECT s.state::text, count(b.id)::int
FROM unnest(enum_range(NULL::enotify.batch_state)) s (state) LEFT JOIN enotify.batch b ON b.state = s.state AND b.finished_at IS NULL
WHERE s.state NOT IN ('done', 'cancelled') GROUP BY s.state`

// OpenBatches counts the batches that are not finished, by state.
func (db *DB) OpenBatches(ctx context.Context) (map[string]int, error) {
	rows, err := db.pool.Query(ctx, openBatchesSQL)
	if err != nil {
		return nil, err
	}
	counts := map[string]int{}
	var state string
	var n int
	_, err = pgx.ForEachRow(rows, []any{&state, &n}, func() error { counts[state] = n; return nil })
	return counts, err
}

// inTx runs f in a transaction, read committed.
func (db *DB) inTx(ctx context.Context, f func(tx pgx.Tx) error) error {
	return pgx.BeginTxFunc(ctx, db.pool, pgx.TxOptions{IsoLevel: pgx.ReadCommitted}, f)
}

type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// collect reads rows into structs whose fields are the columns in order.
func collect[T any](ctx context.Context, db *DB, sql string, args ...any) ([]T, error) {
	rows, err := db.pool.Query(ctx, sql, args...)
	if err != nil {
		return nil, AsRefusal(err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[T])
	return all, AsRefusal(err)
}
