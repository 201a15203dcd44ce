package insight

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// A Server is the database server, as it is when it is asked.
type Server struct {
	Version   string
	Standby   bool // nobody can write to it
	Clock     time.Time
	Used, Max int // connections
}

const serverSQL = `
SELECT current_setting('server_version') AS version, pg_is_in_recovery() AS standby, clock_timestamp() AS clock,
       (SELECT count(*)::int FROM pg_stat_activity WHERE backend_type = 'client backend') AS used,
       current_setting('max_connections')::int AS max`

// Server looks at the database server. It needs no schema.
func (r Reader) Server(ctx context.Context) (Server, error) {
	all, err := list(ctx, r, pgx.RowToStructByName[Server], serverSQL)
	if err != nil {
		return Server{}, err
	}
	return all[0], nil
}

// A ClientState says whether batches of a client would be sent.
type ClientState struct {
	Domain    string
	Result    string // of the worst current verdict; "" when the guard has not looked yet
	Blocks    bool
	RefusedAt *time.Time // since when receivers refuse it
}

const clientStatesSQL = `
SELECT c.domain, coalesce(v.result, '') AS result, coalesce(v.blocks, false) AS blocks, c.refused_at
FROM enotify.client c LEFT JOIN (
    SELECT DISTINCT ON (client_id) client_id, result, blocks FROM enotify.verdict WHERE superseded_at IS NULL
      ORDER BY client_id, blocks DESC, id) v ON v.client_id = c.id
ORDER BY c.domain`

// ClientStates looks at all clients.
func (r Reader) ClientStates(ctx context.Context) ([]ClientState, error) {
	return list(ctx, r, pgx.RowToStructByName[ClientState], clientStatesSQL)
}

// A Signer is a client whose mail is signed.
type Signer struct {
	Domain    string
	Selectors []string
}

const signingSQL = `
SELECT domain, dkim_selectors AS selectors FROM enotify.client WHERE cardinality(dkim_selectors) > 0 ORDER BY domain`

// Signing lists the clients that sign.
func (r Reader) Signing(ctx context.Context) ([]Signer, error) {
	return list(ctx, r, pgx.RowToStructByName[Signer], signingSQL)
}
