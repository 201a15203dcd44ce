package queue

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// A DB is a migrated enotify database. It is safe for concurrent use.
type DB struct {
	pool   *pgxpool.Pool
	pooler *atomic.Bool    // its connections lead through a pooler
	life   context.Context // until it is closed
	end    context.CancelFunc
}

// Open connects to the database at url, a PostgreSQL connection URI or
// keyword string. With maxConns 0 the pool has the size that url or pgx says.
// The error is one line that names host and port and holds no password; it wraps
// ErrAway when the database may be there later.
func Open(ctx context.Context, url string, maxConns int32) (*DB, error) {
	return OpenAs(ctx, url, maxConns, As{})
}

// OpenAs is [Open] for a person or node that the log of batches names.
func OpenAs(ctx context.Context, url string, maxConns int32, as As) (*DB, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, badURL(err)
	}
	if maxConns > 0 {
		config.MaxConns = maxConns
	}
	if as.Node != "" {
		keep(config)
	}
	config.ConnConfig.RuntimeParams["application_name"] = as.applicationName()
	db := &DB{pooler: &atomic.Bool{}}
	config.BeforeConnect = func(_ context.Context, c *pgx.ConnConfig) error {
		if db.pooler.Load() && c.DefaultQueryExecMode == pgx.QueryExecModeCacheStatement {
			c.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe // names no statement at the server
		}
		return nil
	}
	config.AfterConnect = func(ctx context.Context, c *pgx.Conn) error {
		direct, err := prepare(ctx, c, config.ConnConfig.RuntimeParams)
		if err == nil && !direct && db.pooler.CompareAndSwap(false, true) {
			err = errPooler // this connection was opened for a server
		}
		return err
	}
	if db.pool, err = pgxpool.NewWithConfig(ctx, config); err != nil {
		return nil, fmt.Errorf("database: %w", err)
	}
	err = db.pool.Ping(ctx)
	if errors.Is(err, errPooler) {
		err = db.pool.Ping(ctx)
	}
	if err != nil {
		db.pool.Close()
		return nil, unreachable(config.ConnConfig, err)
	}
	db.life, db.end = context.WithCancel(context.WithoutCancel(ctx))
	return db, nil
}

// keep has a node keep its connections, unless the URL says otherwise: when applications have
// taken all places of the server, it gets none in exchange for one that was too old or idle.
func keep(config *pgxpool.Config) {
	const forGood = 10 * 365 * 24 * time.Hour
	for parameter, value := range map[string]*time.Duration{
		"pool_max_conn_lifetime": &config.MaxConnLifetime, "pool_max_conn_idle_time": &config.MaxConnIdleTime,
	} {
		if !strings.Contains(config.ConnString(), parameter) {
			*value = forGood
		}
	}
}

// Connect is [Open] for one connection, and leaves the settings of its session alone.
func Connect(ctx context.Context, url string) (*pgx.Conn, error) {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, badURL(err)
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, unreachable(config, err)
	}
	return conn, nil
}

// Close closes all connections.
func (db *DB) Close() {
	db.end()
	db.pool.Close()
}

// Pool returns the connections, for the packages below this one.
func (db *DB) Pool() *pgxpool.Pool { return db.pool }

// WithConn lends one connection to f.
func (db *DB) WithConn(ctx context.Context, f func(*pgx.Conn) error) error {
	return db.pool.AcquireFunc(ctx, func(c *pgxpool.Conn) error { return f(c.Conn()) })
}

// User returns the name of the login.
func (db *DB) User() string { return db.pool.Config().ConnConfig.User }

// Life returns a context that ends with Close.
func (db *DB) Life() context.Context { return db.life }

// Ping asks whether the database answers.
func (db *DB) Ping(ctx context.Context) error { return db.pool.Ping(ctx) }

const openBatchesSQL = `
SELECT s.state::text, count(b.id)::int
FROM unnest(enum_range(NULL::enotify.batch_state)) s (state) LEFT JOIN enotify.batch b ON b.state = s.state
  AND b.finished_at IS NULL
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

// Collect reads rows into structs whose fields are the columns in order. The error is
// in words for people, see [AsRefusal].
func Collect[T any](ctx context.Context, db *DB, sql string, args ...any) ([]T, error) {
	rows, err := db.pool.Query(ctx, sql, args...)
	if err != nil {
		return nil, AsRefusal(err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[T])
	return all, AsRefusal(err)
}
