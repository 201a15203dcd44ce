package node

import (
	"context"
	"fmt"
	"log/slog"
	"time"

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
				log.Warn("everybody on this host can read a private key", "client", c.Domain, "file", file, "next",
					"chmod o-r "+file)
			case key.Weakness() != "":
				log.Warn("a weak DKIM key", "client", c.Domain, "selector", selector, "why", key.Weakness(), "next",
					"enotify client key "+c.Domain+" --selector NEW")
			}
		}
	}
	return err
}

// barEvery is the time between two looks at the keys of all clients.
const barEvery = 5 * time.Second

// bars keeps in the database which clients this node cannot sign for: it leaves them
// to the nodes that can.
type bars struct {
	db    *queue.DB
	keys  *dkim.Directory
	name  string
	alert func(context.Context, queue.Alert)
	log   *slog.Logger
}

// look finds out which clients they are just now.
func (b *bars) look(ctx context.Context, node int32) error {
	signers, err := b.db.Signers(ctx)
	if err != nil {
		return err
	}
	why, names := map[int32]string{}, map[int32]string{}
	for _, s := range signers {
		if _, err := b.keys.Keys(s.Client, s.Selectors); err != nil {
			why[s.ID], names[s.ID] = err.Error(), s.Client
		}
	}
	news, err := b.db.Bar(ctx, node, why)
	if err != nil || len(news) == 0 {
		return err
	}
	first := names[news[0]]
	b.alert(ctx, queue.Alert{Kind: queue.AlertNodeBarred, Client: first, Next: "enotify node list",
		Text: fmt.Sprintf("node %s cannot sign for %d clients, %s among them, and leaves them to other nodes: %s",
			b.name, len(why), first, why[news[0]])})
	return nil
}

// run looks now and then until ctx ends.
func (b *bars) run(ctx context.Context, node int32) {
	every(ctx, barEvery, func() {
		if err := b.look(ctx, node); err != nil && ctx.Err() == nil {
			b.log.Warn("the keys of clients could not be looked at; what was found last holds", "error", err)
		}
	})
}
