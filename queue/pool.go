package queue

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/jackc/pgx/v5"
)

// PoolKind says which batches leave from a pool.
type PoolKind string

const (
	PoolShared  PoolKind = "shared"  // those of the clients whose pool it is, and all that name it
	PoolPrivate PoolKind = "private" // those of the clients whose pool it is, and those for which an operator names it
	PoolUrgent  PoolKind = "urgent"  // those of a priority above 0, unless they name another
)

// A Pool is a group of egress addresses.
type Pool struct {
	Name      string   `json:"name"`
	Kind      PoolKind `json:"kind"`
	Addresses int      `json:"addresses"` // registered or announced
	Active    int      `json:"active"`    // from which mail can leave now
	Clients   int      `json:"clients"`   // whose pool it is
}

const (
	poolsListSQL = `
SELECT p.name, p.kind, (SELECT count(DISTINCT a.address)::int FROM (
           SELECT e.address FROM enotify.egress e WHERE e.pool = p.name UNION SELECT l.address
             FROM enotify.live_egress l WHERE l.pool = p.name) a) AS addresses,
       (SELECT count(DISTINCT l.address)::int FROM enotify.live_egress l
         WHERE l.pool = p.name AND l.state = 'active') AS active,
       (SELECT count(*)::int FROM enotify.client c WHERE c.pool = p.name) AS clients
FROM enotify.pool p WHERE $1 IN ('', p.name) ORDER BY p.name`
	demoteSQL      = `UPDATE enotify.pool SET kind = 'shared' WHERE kind = 'urgent' AND name <> $1 AND $2 = 'urgent'`
	setPoolKindSQL = `UPDATE enotify.pool SET kind = $2 WHERE name = $1`
	poolUsersSQL   = `SELECT (SELECT count(*)::int FROM enotify.client c WHERE c.pool = $1)`
	batchPoolSQL   = `SELECT enotify.batch_pool(b.pool, b.priority, b.client_id) FROM enotify.batch b WHERE b.id = $1`
	clientPoolsSQL = `SELECT enotify.client_pools(c.id) FROM enotify.client c WHERE c.domain = $1`
	liveEgressSQL  = `
SELECT DISTINCT ON (e.address) e.address, e.helo, e.pool FROM enotify.live_egress e
WHERE e.state = 'active' AND ($1::text[] IS NULL OR e.pool = ANY ($1)) ORDER BY e.address, e.node_id`
	senderAddressesSQL = `
SELECT e.address FROM enotify.live_egress e WHERE e.state <> 'draining' AND ($1::text[] IS NULL OR e.pool = ANY ($1))
UNION SELECT e.address FROM enotify.egress e WHERE NOT e.by_node AND e.state <> 'draining'
  AND ($1::text[] IS NULL OR e.pool = ANY ($1)) ORDER BY 1`
)

// EgressPools lists the pools.
func (db *DB) EgressPools(ctx context.Context) ([]Pool, error) {
	return Collect[Pool](ctx, db, poolsListSQL, "")
}

// EgressPool finds a pool.
func (db *DB) EgressPool(ctx context.Context, name string) (Pool, error) {
	found, err := Collect[Pool](ctx, db, poolsListSQL, name)
	if err == nil && len(found) == 0 || name == "" {
		err = NotFound(NounPool, name)
	}
	if err != nil {
		return Pool{}, err
	}
	return found[0], nil
}

// SetPool says which batches leave from a pool. At most one is urgent: another that was
// becomes shared.
func (db *DB) SetPool(ctx context.Context, name string, kind PoolKind) error {
	return db.inTx(ctx, func(tx pgx.Tx) error {
		if kind == PoolUrgent {
			var clients int
			if err := tx.QueryRow(ctx, poolUsersSQL, name).Scan(&clients); err != nil {
				return AsRefusal(err)
			}
			if clients > 0 {
				return &Problem{Noun: NounPool, Name: name,
					Err: fmt.Errorf("%w: the ordinary mail of its clients (%d) leaves from it", ErrNotUrgent, clients)}
			}
		}
		if _, err := tx.Exec(ctx, demoteSQL, name, kind); err != nil {
			return AsRefusal(err)
		}
		tag, err := tx.Exec(ctx, setPoolKindSQL, name, kind)
		if err == nil && tag.RowsAffected() == 0 {
			return NotFound(NounPool, name)
		}
		return AsRefusal(err)
	})
}

// BatchPool is the pool that a batch leaves from.
func (db *DB) BatchPool(ctx context.Context, batch int64) (pool string, err error) {
	err = db.pool.QueryRow(ctx, batchPoolSQL, batch).Scan(&pool)
	if errors.Is(err, pgx.ErrNoRows) {
		return "", NotFound(NounBatch, batch)
	}
	return pool, AsRefusal(err)
}

// ClientPools lists the pools that mail of a client leaves from; none when there is no
// such client.
func (db *DB) ClientPools(ctx context.Context, domain string) (pools []string, err error) {
	err = db.pool.QueryRow(ctx, clientPoolsSQL, domain).Scan(&pools)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	return pools, AsRefusal(err)
}

// LiveEgress lists the addresses of pools from which mail can leave now; nil is all pools.
func (db *DB) LiveEgress(ctx context.Context, pools []string) ([]Egress, error) {
	rows, err := db.pool.Query(ctx, liveEgressSQL, pools)
	if err != nil {
		return nil, AsRefusal(err)
	}
	found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (e Egress, err error) {
		var addr netip.Prefix
		err = row.Scan(&addr, &e.HELO, &e.Pool)
		e.Addr = addr.Addr()
		return e, err
	})
	return found, AsRefusal(err)
}

// SenderAddresses lists the addresses of pools that a client should authorise: those of
// live nodes, and those that an operator has added. nil is all pools.
func (db *DB) SenderAddresses(ctx context.Context, pools []string) ([]netip.Addr, error) {
	rows, err := db.pool.Query(ctx, senderAddressesSQL, pools)
	if err != nil {
		return nil, AsRefusal(err)
	}
	found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (netip.Addr, error) {
		var addr netip.Prefix
		err := row.Scan(&addr)
		return addr.Addr(), err
	})
	return found, AsRefusal(err)
}
