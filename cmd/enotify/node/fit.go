package node

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/jackc/pgx/v5"

	"enotify/queue"
)

// fit refuses a login that could not send, before anything begins, and says what a
// pooler before the database keeps a node from setting.
func fit(ctx context.Context, db *queue.DB, log *slog.Logger) error {
	login, err := db.Login(ctx)
	if err != nil {
		return err
	}
	if !login.Sender {
		return fmt.Errorf("login %s is no member of enotify_sender, the role that nodes need: GRANT enotify_sender TO %s",
			login.Name, pgx.Identifier{login.Name}.Sanitize())
	}
	if !db.Pooler() {
		return nil
	}
	log.Info("the database is behind a pooler: changes are looked for each second")
	hindering, err := db.Hindering(ctx)
	if err != nil {
		return err
	}
	for _, next := range hindering {
		log.Warn("the database may end the statements of a node early, and a pooler keeps us from setting that", "next",
			next)
	}
	return nil
}
