package node

import (
	"context"
	"log/slog"

	"enotify/queue"
	"enotify/sender/dkim"
)

// lookAtKeys warns of keys that clients sign with and that this node cannot
// use, or should not. It goes on: the mail of other clients is not held for
// the sake of one.
func lookAtKeys(ctx context.Context, db *queue.DB, dir *dkim.Directory, log *slog.Logger) error {
	clients, err := db.Clients(ctx)
	for _, c := range clients {
		for _, selector := range c.Selectors {
			key, err := dir.Key(c.Domain, selector)
			switch {
			case err != nil:
				log.Warn("mail of a client will be held here", "client", c.Domain, "error", err)
			case dir.Exposed(c.Domain, selector):
				file := dir.File(c.Domain, selector)
				log.Warn("everybody on this host can read a private key", "client", c.Domain, "file", file, "next", "chmod o-r "+file)
			case key.Weakness() != "":
				log.Warn("a weak DKIM key", "client", c.Domain, "selector", selector, "why", key.Weakness(), "next", "enotify client key "+c.Domain+" --selector NEW")
			}
		}
	}
	return err
}
