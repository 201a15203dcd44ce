package queue

import (
	"context"
	"net/netip"
	"time"

	"github.com/jackc/pgx/v5"
)

// A Node is a running sender process.
type Node struct {
	ID        int32
	Name      string
	Egress    []netip.Addr // addresses that receivers see it connect from
	HELO      string
	Version   string
	StartedAt time.Time
	LiveUntil time.Time
	Heartbeat time.Duration // since its last one, by the database's clock
	Groups    int           // lease groups it holds
	Turn      Turn          // "" is Strict
	Barred    []Barred      // clients that it may not send for

	Settings    NodeSettings
	MessageTime time.Duration // recent mean time per accepted message on one connection; 0: it has sent none
}

// NodeSettings are the settings that a preflight has to know beside the addresses; "" is
// none.
type NodeSettings struct {
	PublicURL    string `json:"public_url,omitempty"`    // of the unsubscribe page
	BounceDomain string `json:"bounce_domain,omitempty"` // of the operator's signed return paths
	Smarthost    string `json:"smarthost,omitempty"`     // HOST:PORT
	DKIMDir      string `json:"dkim_dir,omitempty"`      // on the node's host
}

// A Barred is a client that an address of a node may not send for, or that the node
// cannot sign for: then Egress is the zero Addr.
type Barred struct {
	Client string     `json:"client"`
	Egress netip.Addr `json:"egress"`
	Reason string     `json:"reason"`
	Fix    string     `json:"fix,omitempty"` // line for the client's zone; "" where none is known
}

// Turn says when the next batch may begin.
type Turn string

const (
	// Strict is one batch at a time: the next begins when every recipient of the
	// batch that has the turn was tried.
	Strict Turn = "strict"
	// ByDestination lets the next batch begin when the one that has the turn only
	// waits for slow sites; that one then drains. One live node that is Strict makes
	// all of them so.
	ByDestination Turn = "destination"
)

// LeaseTTL is how long a lease lasts without a heartbeat. A dead node's groups
// are taken over that much later.
const LeaseTTL = 4 * time.Second

const nodesSQL = `
SELECT n.id, n.name, n.egress, n.helo, n.version, n.started_at, n.live_until,
  greatest(clock_timestamp() - (n.live_until - $1::interval), interval '0'),
       (SELECT count(*)::int FROM enotify.lease l WHERE l.node_id = n.id), n.turn,
       coalesce((SELECT jsonb_agg(to_jsonb(b) ORDER BY b.client, b.egress) FROM (
           (SELECT DISTINCT ON (c.domain, v.egress) c.domain AS client, host(v.egress) AS egress,
             v.explanation AS reason, v.fix
            FROM enotify.verdict v JOIN enotify.client c ON c.id = v.client_id
            WHERE v.superseded_at IS NULL AND v.blocks AND v.egress = ANY (n.egress) ORDER BY c.domain, v.egress, v.id)
           UNION ALL
           SELECT c.domain, '', r.reason, '' FROM enotify.node_bar r JOIN enotify.client c ON c.id = r.client_id
             WHERE r.node_id = n.id) b), '[]'),
       coalesce(n.message_time, '0'), n.settings
FROM enotify.node n WHERE n.live_until > now() ORDER BY n.name, n.id`

// A Trouble is why a node sends nothing.
type Trouble struct {
	Node string `json:"node"`
	Why  string `json:"why"` // such as disk full
}

const troublesSQL = `
SELECT name, trouble FROM enotify.node WHERE trouble <> '' AND trouble_at > now() - interval '30 seconds' ORDER BY name`

// Troubles lists the nodes that say that they cannot send.
func (db *DB) Troubles(ctx context.Context) ([]Trouble, error) {
	return Collect[Trouble](ctx, db, troublesSQL)
}

// Nodes lists the nodes that are alive.
func (db *DB) Nodes(ctx context.Context) ([]Node, error) {
	rows, err := db.pool.Query(ctx, nodesSQL, LeaseTTL)
	if err != nil {
		return nil, AsRefusal(err)
	}
	alive, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (n Node, err error) {
		var egress []netip.Prefix // inet
		err = row.Scan(&n.ID, &n.Name, &egress, &n.HELO, &n.Version, &n.StartedAt, &n.LiveUntil, &n.Heartbeat,
			&n.Groups, &n.Turn, &n.Barred, &n.MessageTime, &n.Settings)
		for _, e := range egress {
			n.Egress = append(n.Egress, e.Addr())
		}
		return n, err
	})
	return alive, AsRefusal(err)
}

// A Silent node is dead: it did not say that it ended. Its row stays for a month,
// or until its journal was replayed.
type Silent struct {
	Name      string    `json:"name"`
	LastHeard time.Time `json:"last_heard"`
}

const silentSQL = `
SELECT name, max(live_until - $1::interval) FROM enotify.node o
WHERE live_until <= now() AND NOT EXISTS (SELECT FROM enotify.node n WHERE n.name = o.name AND n.live_until > now())
GROUP BY name ORDER BY 2 DESC`

// SilentNodes lists the nodes that died and did not come back, the latest first.
func (db *DB) SilentNodes(ctx context.Context) ([]Silent, error) {
	return Collect[Silent](ctx, db, silentSQL, LeaseTTL)
}
