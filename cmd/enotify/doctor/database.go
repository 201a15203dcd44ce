package doctor

import (
	"context"
	"crypto/tls"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"enotify/cmd/enotify/figures"
	"enotify/migrations"
	"enotify/queue"
	"enotify/queue/insight"
)

// clockLimit is how far the clocks of this host and of the database may be apart
// before times in logs and lists mislead.
const clockLimit = 2 * time.Second

// database opens the database and looks at all that is in it.
func (p *patient) database(ctx context.Context) []Finding {
	opened := Finding{ID: "db.open"}
	db, err := p.Open(ctx)
	if err != nil {
		return []Finding{opened.worse(Problem, "The database could not be opened: "+err.Error()+".")}
	}
	found := []Finding{opened.worse(Fine, fmt.Sprintf("The database answers, as login %s.", db.User()))}
	if p.Private != "" {
		found[0] = opened.worse(Note, "No database URL is set: this is the private PostgreSQL in "+p.Private+
			", which ends with the program that started it. "+
			"Nodes, applications and operators of one installation need the same database.",
			"export DATABASE_URL=postgres://USER:PASSWORD@HOST/enotify")
	}
	found = append(found, p.server(ctx, db)...)

	schema := Finding{ID: "db.schema", Severity: Fine, Found: "The schema is the one of this enotify."}
	if err := db.WithConn(ctx, func(conn *pgx.Conn) error { return migrations.Check(ctx, conn) }); err != nil {
		db.Close()
		return append(found, unusable(schema, queue.AsRefusal(err).Error(), db.User()))
	}
	found = append(found, schema)
	login, sees := p.login(ctx, db)
	found = append(found, login)
	if !sees {
		db.Close()
		return found
	}
	p.db = db
	return slices.Concat(found, logins(ctx, db), transactions(ctx, db), p.cluster(ctx), p.clients(ctx))
}

// unusable is the finding about a schema that this enotify, or this login, cannot use.
func unusable(f Finding, why, login string) Finding {
	f = f.worse(Problem, "The schema cannot be used: "+why+".")
	switch {
	case strings.Contains(why, "run enotify migrate"):
		f.Cure = []string{"enotify migrate"}
	case strings.Contains(why, "GRANT "):
		f.Cure = []string{"GRANT enotify_admin, enotify_sender TO " + pgx.Identifier{login}.Sanitize()}
	}
	return f
}

// login looks at what the login may do. What is not its own to see is not judged.
func (p *patient) login(ctx context.Context, db *queue.DB) (f Finding, sees bool) {
	f = Finding{ID: "db.login"}
	l, err := db.Login(ctx)
	name := pgx.Identifier{db.User()}.Sanitize()
	switch {
	case err != nil:
		return f.worse(Problem, "What the login may do could not be read: "+err.Error()+"."), false
	case l.Admin && l.Sender:
		return f.worse(Fine, fmt.Sprintf("Login %s sees and steers all, and may run nodes.", l.Name)), true
	case l.Admin:
		return f.worse(Note, fmt.Sprintf("Login %s sees and steers all. It may not run nodes.", l.Name),
			"GRANT enotify_sender TO "+name), true
	case l.Sender:
		return f.worse(Note, fmt.Sprintf("Login %s sees all and may run nodes. It may not steer.", l.Name),
			"GRANT enotify_admin TO "+name), true
	}
	return f.worse(Note, fmt.Sprintf("Login %s is an application's: it sends for %s. Nodes, clients and settings are for members of enotify_admin.",
		l.Name, figures.Some(l.Sees, "client")), "GRANT enotify_admin TO "+name), false
}

// server looks at the database server itself.
func (p *patient) server(ctx context.Context, db *queue.DB) (found []Finding) {
	before := time.Now()
	s, err := insight.Of(db).Server(ctx)
	away := time.Since(before)
	version := Finding{ID: "db.server"}
	if err != nil {
		return []Finding{version.worse(Problem, "The server could not be asked: "+err.Error()+".")}
	}
	switch {
	case s.Standby:
		version = version.worse(Problem, "The server is a standby, which nobody can write to.",
			"name the primary in the database URL, or all hosts with target_session_attrs=read-write")
	case s.Used+10 > s.Max:
		version = version.worse(Warning,
			fmt.Sprintf("PostgreSQL %s has %d of its %d connections in use; a node keeps up to 8.", s.Version, s.Used,
				s.Max), "as a superuser: ALTER SYSTEM SET max_connections = 300; then restart the server")
	default:
		version = version.worse(Fine, fmt.Sprintf("PostgreSQL %s, %d of %d connections in use.", s.Version, s.Used,
			s.Max))
	}
	found = append(found, version, clock(s.Clock, before, away), pooler(ctx, db))
	found = append(found, durability(ctx, db)...)
	return append(found, encrypted(ctx, db)...)
}

// clock compares the database's clock with ours. The answer was under way for away.
func clock(theirs, asked time.Time, away time.Duration) Finding {
	f := Finding{ID: "host.clock"}
	apart := theirs.Sub(asked.Add(away / 2)).Abs()
	if apart > clockLimit+away {
		return f.worse(Warning, fmt.Sprintf("The clocks of this host and of the database are %s apart. Leases and limits go by the database's clock, "+
			"Date fields, signatures and certificates by this one.", figures.Span(apart)),
			"timedatectl set-ntp true (on both hosts)")
	}
	return f.worse(Fine, fmt.Sprintf("This host and the database agree about the time within %d ms.",
		apart.Milliseconds()+1))
}

func pooler(ctx context.Context, db *queue.DB) Finding {
	f := Finding{ID: "db.pooler", Severity: Fine, Found: "No pooler is in between."}
	if !db.Pooler() {
		return f
	}
	hindering, err := db.Hindering(ctx)
	switch {
	case err != nil:
		return f.worse(Note, "A pooler is in between. What the database sets for its sessions could not be read.")
	case len(hindering) > 0:
		return f.worse(Warning, "A pooler is in between, and settings of the database may end the statements of a node early.", hindering...)
	}
	return f.worse(Note, "A pooler is in between: nodes look for changes each second, where a direct connection wakes them at once.")
}

func durability(ctx context.Context, db *queue.DB) (found []Finding) {
	f := Finding{ID: "db.durability"}
	risks, err := insight.Of(db).Durability(ctx)
	if err != nil {
		return []Finding{f.worse(Note, "How durable the database is could not be read.")}
	}
	for _, r := range risks {
		found = append(found, f.worse(Warning, fmt.Sprintf("The database runs with %s: %s.", r.Setting, r.Harm),
			"as a superuser: ALTER SYSTEM SET "+r.Cure+"; SELECT pg_reload_conf()"))
	}
	if len(found) == 0 {
		found = append(found, f.worse(Fine,
			"What is committed survives a crash of the database (fsync, full_page_writes, standbys)."))
	}
	return found
}

// encrypted looks at the certificate of the server, where the connection has one.
func encrypted(ctx context.Context, db *queue.DB) (found []Finding) {
	_ = db.WithConn(ctx, func(conn *pgx.Conn) error { // a connection that was lost is told elsewhere
		if secure, ok := conn.PgConn().Conn().(*tls.Conn); ok {
			found = append(found, expiry("cert.database", "the database server",
				secure.ConnectionState().PeerCertificates))
		}
		return nil
	})
	return found
}
