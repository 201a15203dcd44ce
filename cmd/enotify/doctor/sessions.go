package doctor

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"enotify/cmd/enotify/figures"
	"enotify/queue"
	"enotify/queue/insight"
)

const (
	forOthers = 20 // connections that nodes and operators need
	enoughFor = 20 // connections of an application's login
)

// logins looks whether applications may take all connections of the server: a node keeps
// those that it has, and gets no new one then.
func logins(ctx context.Context, db *queue.DB) []Finding {
	f := Finding{ID: "db.logins"}
	r := insight.Of(db)
	limits, err := r.LoginLimits(ctx)
	places, failed := r.Places(ctx)
	if err != nil || failed != nil {
		return []Finding{f.worse(Note, "How many connections applications may open could not be read.")}
	}
	if len(limits) == 0 {
		return nil
	}
	var open, cures []string
	sum := 0
	most := max(2, min(enoughFor, (places-forOthers)/len(limits)))
	for _, l := range limits {
		if l.Most >= 0 {
			sum += l.Most
			continue
		}
		if open = append(open, l.Login); len(open) <= shown {
			cures = append(cures, fmt.Sprintf("ALTER ROLE %s CONNECTION LIMIT %d", pgx.Identifier{l.Login}.Sanitize(), most))
		}
	}
	switch {
	case len(open) > 0:
		return []Finding{f.worse(Warning, fmt.Sprintf("Without a limit, each of these logins of applications may take all %d "+
			"connections of the server, and a node that starts or has lost one gets none: %s.", places,
			figures.Few(open, shown)), cures...)}
	case sum+forOthers > places:
		return []Finding{f.worse(Note, fmt.Sprintf("Together the logins of applications may open %d connections, and the "+
			"server has %d for them, nodes and operators.", sum, places), fmt.Sprintf(
			"as a superuser: ALTER SYSTEM SET max_connections = %d; then restart the server", sum+2*forOthers))}
	}
	return []Finding{f.worse(Fine, fmt.Sprintf("The logins of applications may open %d of the %d connections.", sum, places))}
}

// transactions looks for those that have been open for long: PostgreSQL removes no row that
// has changed since, and the tables of the queue change with every message.
func transactions(ctx context.Context, db *queue.DB) (found []Finding) {
	f := Finding{ID: "db.transactions"}
	r := insight.Of(db)
	sees, err := r.SeesTransactions(ctx)
	long, failed := r.LongTransactions(ctx, insight.LongTransactionAge)
	if err != nil || failed != nil {
		return []Finding{f.worse(Note, "Open transactions could not be read.")}
	}
	for _, t := range long[:min(len(long), shown)] {
		found = append(found, f.worse(Warning, fmt.Sprintf("Login %s has had a transaction open for %s (process %d, %s). "+
			"Until it ends, PostgreSQL removes no row that has changed since, and sending gets slower.", t.Login,
			figures.Span(t.Age), t.PID, t.State),
			fmt.Sprintf("SELECT pg_terminate_backend(%d)", t.PID),
			fmt.Sprintf("ALTER ROLE %s SET idle_in_transaction_session_timeout = '1min'",
				pgx.Identifier{t.Login}.Sanitize())))
	}
	switch {
	case len(found) > 0:
		return found
	case !sees:
		return []Finding{f.worse(Note, "This login may not see how long the transactions of others have been open.",
			"as a superuser: GRANT pg_read_all_stats TO "+pgx.Identifier{db.User()}.Sanitize())}
	}
	return []Finding{f.worse(Fine, "No transaction has been open for long.")}
}
