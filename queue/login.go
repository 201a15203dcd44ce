package queue

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// A Login is the login of a DB, and what it may do. The owner of the schema may do
// everything.
type Login struct {
	Name   string
	Admin  bool   // steers, and sees everything
	Sender bool   // runs nodes, and sees everything
	Sees   int    // clients that it may see and send for
	Owner  string // of the schema
}

const loginOfSQL = `
SELECT session_user::text AS name,
       pg_has_role('enotify_admin', 'MEMBER') OR o.owns AS admin,
       pg_has_role('enotify_sender', 'MEMBER') OR o.owns AS sender,
       cardinality(enotify.my_clients()) AS sees, o.owner
FROM (SELECT pg_has_role(n.nspowner, 'MEMBER') AS owns, pg_get_userbyid(n.nspowner)::text AS owner FROM pg_namespace n
  WHERE n.nspname = 'enotify') o`

// Login returns the login of db.
func (db *DB) Login(ctx context.Context) (Login, error) {
	rows, err := db.pool.Query(ctx, loginOfSQL)
	if err != nil {
		return Login{}, AsRefusal(err)
	}
	login, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[Login])
	return login, AsRefusal(err)
}
