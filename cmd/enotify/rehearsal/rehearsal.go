package rehearsal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"enotify/cmd/enotify/database"
	"enotify/cmd/enotify/forecast"
	"enotify/cmd/enotify/node"
	"enotify/queue"
	"enotify/queue/localpg"
)

// A Config says what is rehearsed, and how nodes send.
type Config struct {
	DB       *queue.DB // of the batch; only read
	Batch    int64
	Resolver string // DNS server, HOST:PORT; "" is the system's

	Egress       []netip.Addr  // none: those of the live nodes
	HELO         string        // "": that of the live nodes
	DKIMDir      string        // "": mail is not signed
	BounceDomain string        // "": that of the live nodes
	PublicURL    string        // "": that of the live nodes
	Message      time.Duration // that the mail host takes for each; 0: as the live nodes measured

	Log  *slog.Logger
	Tell func(s queue.Status) // how it stands, each second; may be nil
}

// A Result is how a rehearsal went.
type Result struct {
	Batch     int64        `json:"batch"`
	Complete  bool         `json:"complete"` // every recipient that is sent to would have it
	State     string       `json:"state"`    // of the batch at the end
	Reason    string       `json:"reason"`   // why it did not go
	Seconds   float64      `json:"seconds"`  // from the submit until the last one had it
	Slowest   string       `json:"slowest"`  // recipient domain that had it last
	Status    queue.Status `json:"status"`
	MessageMS int64        `json:"message_ms"` // that the mail host took for each

	// Forecast is when everybody would be tried with what a rehearsal leaves out: the time
	// that the batch is not to begin before, its hours, the client's quota, the warm-up of
	// addresses, and the batches ahead.
	Forecast        string   `json:"forecast"`
	ForecastSeconds *float64 `json:"forecast_seconds"` // nil: over two months
}

// Run rehearses a batch.
func Run(ctx context.Context, c Config) (r Result, err error) {
	if err := c.adopt(ctx); err != nil {
		return r, err
	}
	world, err := startInternet(c.Resolver, c.Message)
	if err != nil {
		return r, err
	}
	defer world.close()
	server, err := localpg.Start(ctx, localpg.Options{Ephemeral: true, Unsafe: true})
	if err != nil {
		return r, fmt.Errorf("a rehearsal runs on a private database: %w", err)
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		err = errors.Join(err, server.Stop(ctx))
	}()
	db, err := database.Await(ctx, server.URL(), 4, queue.As{}, c.Log)
	if err != nil {
		return r, err
	}
	defer db.Close()
	id, err := c.copy(ctx, db)
	if err != nil {
		return r, fmt.Errorf("copy batch %d: %w", c.Batch, err)
	}
	if err := c.send(ctx, db, server.URL(), world, id); err != nil {
		return r, err
	}
	if r, err = c.result(ctx, db, id); err != nil {
		return r, err
	}
	return r, c.foretell(ctx, db, id, &r)
}

// adopt takes from the live nodes what it is not told.
func (c *Config) adopt(ctx context.Context) error {
	nodes, err := c.DB.Nodes(ctx)
	if err != nil {
		return err
	}
	var times []time.Duration
	own := len(c.Egress) > 0
	for _, n := range nodes {
		if !own {
			c.Egress = append(c.Egress, n.Egress...)
		}
		c.HELO = cmp.Or(c.HELO, n.HELO)
		c.BounceDomain, c.PublicURL = cmp.Or(c.BounceDomain, n.Settings.BounceDomain),
			cmp.Or(c.PublicURL, n.Settings.PublicURL)
		times = append(times, n.MessageTime)
	}
	slices.SortFunc(c.Egress, netip.Addr.Compare)
	c.Egress = slices.Compact(c.Egress)
	if len(c.Egress) == 0 {
		return errors.New("no node is running: say with --egress which addresses receivers will see")
	}
	if c.Message == 0 && len(times) > 0 {
		c.Message = slices.Max(times)
	}
	return nil
}

// limits are the tables that say how fast may be sent, and to whom not at all.
var limits = []string{"destination", "pace", "egress", "egress_rate", "pool", "suppression"}

const (
	// The private database has the constraints of the real one, where all this fits.
	looseSQL = `SET session_replication_role = replica`
	// Days and hours are counted by the forecast: nobody waits for them here.
	planlessSQL = `UPDATE enotify.client SET send_window = NULL, per_day = NULL, per_month = NULL, max_batches = NULL, spent_until = NULL`
	stagedSQL   = `
SELECT address, data FROM enotify.recipient_in WHERE batch_id = $1
UNION ALL SELECT address, data FROM enotify.recipient WHERE batch_id = $1`
)

// copy copies the batch and what limits it, and submits the copy.
func (c *Config) copy(ctx context.Context, to *queue.DB) (id int64, err error) {
	content, err := c.DB.Content(ctx, c.Batch)
	if err != nil {
		return 0, err
	}
	if c.DKIMDir == "" {
		content.DKIMSelectors = nil
	}
	err = c.DB.WithConn(ctx, func(from *pgx.Conn) error {
		return to.WithConn(ctx, func(conn *pgx.Conn) error {
			if _, err := conn.Exec(ctx, looseSQL); err != nil {
				return err
			}
			for _, table := range limits {
				if _, err := conn.Exec(ctx, `DELETE FROM enotify.`+table); err != nil { // what a new database has
					return err
				}
				if err := copyTable(ctx, from, conn, "SELECT * FROM enotify."+table, table); err != nil {
					return err
				}
			}
			client := fmt.Sprintf("SELECT c.* FROM enotify.client c JOIN enotify.batch b ON b.client_id = c.id WHERE b.id = %d", c.Batch)
			if err := copyTable(ctx, from, conn, client, "client"); err != nil {
				return err
			}
			if _, err := conn.Exec(ctx, planlessSQL); err != nil {
				return err
			}
			if c.DKIMDir == "" {
				if _, err := conn.Exec(ctx, `UPDATE enotify.client SET dkim_selectors = '{}'`); err != nil {
					return err
				}
			}
			_, err := conn.Exec(ctx, `RESET session_replication_role`)
			return err
		})
	})
	if err != nil {
		return 0, err
	}
	err = c.DB.WithConn(ctx, func(from *pgx.Conn) error {
		rows, err := from.Query(ctx, stagedSQL, c.Batch)
		if err != nil {
			return err
		}
		defer rows.Close()
		made, err := to.Create(ctx, queue.Draft{Key: "rehearsal", Submit: true, Batch: *content,
			Recipients: func() (r queue.Recipient, err error) {
				if !rows.Next() {
					return r, cmp.Or(rows.Err(), io.EOF)
				}
				var address *string
				var data []byte
				if err := rows.Scan(&address, &data); err != nil {
					return r, err
				}
				if address != nil {
					r.Address = *address
				}
				r.Data = data
				return r, nil
			}})
		id = made.ID
		return err
	})
	return id, err
}

// copyTable copies rows as they are.
func copyTable(ctx context.Context, from, to *pgx.Conn, rows, table string) error {
	in, out := io.Pipe()
	go func() {
		_, err := from.PgConn().CopyTo(ctx, out, "COPY ("+rows+") TO STDOUT (FORMAT binary)")
		out.CloseWithError(err)
	}()
	_, err := to.PgConn().CopyFrom(ctx, in, "COPY enotify."+table+" FROM STDIN (FORMAT binary)")
	_, _ = io.Copy(io.Discard, in) // until the other connection is free
	if err != nil {
		return fmt.Errorf("table %s: %w", table, queue.AsRefusal(err))
	}
	return nil
}

// send runs a node until the batch has ended, or nothing moves any more.
func (c *Config) send(ctx context.Context, db *queue.DB, url string, world *internet, id int64) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		ended <- node.Run(ctx, node.Config{
			DatabaseURL: url, Resolver: c.Resolver, DNSSECResolver: world.dns, SMTPPort: world.port,
			AllowMX: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
			Name:    "rehearsal", HELO: c.HELO, Egress: c.Egress, EgressPrivate: true, DKIMDir: c.DKIMDir,
			BounceDomain: c.BounceDomain, PublicURL: c.PublicURL,
			UntilIdle: true, Grace: 10 * time.Second, Log: c.Log,
		})
	}()
	for tick := time.NewTicker(time.Second); ; {
		select {
		case err := <-ended:
			return err
		case <-tick.C:
			if s, err := db.Status(ctx, id); err == nil && c.Tell != nil {
				c.Tell(s)
			}
		}
	}
}

const lastSQL = `
SELECT coalesce(extract(epoch FROM max(o.at) - b.submitted_at), 0)::float8,
       coalesce((SELECT d.name FROM enotify.outcome l JOIN enotify.recipient r USING (batch_id, seq)
         JOIN enotify.domain d ON d.id = r.domain_id
                 WHERE l.batch_id = b.id AND l.state = 'delivered' ORDER BY l.at DESC LIMIT 1), '')
FROM enotify.batch b LEFT JOIN enotify.outcome o ON o.batch_id = b.id AND o.state = 'delivered' WHERE b.id = $1
  GROUP BY b.id`

const domainsSQL = `
SELECT k.name, coalesce(s.name, k.name), d.last_seq - d.first_seq + 1
FROM enotify.batch_domain d JOIN enotify.domain k ON k.id = d.domain_id LEFT JOIN enotify.site s ON s.id = k.site_id
WHERE d.batch_id = $1 AND d.last_seq >= d.first_seq AND k.no_mail IS NULL`

// foretell works out what a rehearsal leaves out, with the domains and sites that it found.
func (c *Config) foretell(ctx context.Context, db *queue.DB, id int64, r *Result) error {
	rows, err := db.Pool().Query(ctx, domainsSQL, id)
	if err != nil {
		return err
	}
	to, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (w forecast.Waiting, err error) {
		return w, row.Scan(&w.Domain, &w.Site, &w.N)
	})
	if err != nil {
		return err
	}
	s, err := c.DB.Status(ctx, c.Batch)
	if err != nil {
		return err
	}
	f, p, err := forecast.As(ctx, c.DB, s, to, c.Message, time.Now())
	if err != nil {
		return fmt.Errorf("forecast of batch %d: %w", c.Batch, err)
	}
	if r.Forecast = f.Line(p); !f.Late {
		seconds := f.End.Seconds()
		r.ForecastSeconds = &seconds
	}
	return nil
}

func (c *Config) result(ctx context.Context, db *queue.DB, id int64) (r Result, err error) {
	if r.Status, err = db.Status(ctx, id); err != nil {
		return r, err
	}
	err = db.Pool().QueryRow(ctx, lastSQL, id).Scan(&r.Seconds, &r.Slowest)
	r.Batch, r.State, r.Reason, r.MessageMS = c.Batch, r.Status.State, r.Status.Reason, c.Message.Milliseconds()
	r.Status.ID = c.Batch
	s := r.Status
	r.Complete = r.State == "done" && s.Delivered > 0 && s.Delivered+s.Suppressed+s.Invalid+s.Bounced == s.Total
	return r, err
}
