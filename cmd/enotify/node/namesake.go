package node

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"enotify/cmd/enotify/exit"
	"enotify/queue"
)

// alone refuses the name of a node that is alive: logs and lists could not tell
// the two apart. One that was killed a moment ago, as before a restart, is not
// heard again; it is waited for until its leases end, which no other node could
// take before either.
func alone(ctx context.Context, db *queue.DB, name string, log *slog.Logger) error {
	const look = 250 * time.Millisecond
	var first time.Time // what the other one said when it was seen first
	for {
		nodes, err := db.Nodes(ctx)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(nodes, func(n queue.Node) bool { return n.Name == name })
		switch {
		case i < 0:
			return nil
		case first.IsZero():
			first = nodes[i].LiveUntil
			log.Info("a node of this name was heard a moment ago; waiting whether it is still alive", "node", name)
		case nodes[i].LiveUntil.After(first):
			return exit.Usagef("--node %s: a node of this name is running, from %v; give this one another name", name,
				nodes[i].Egress)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for node %s to end: %w", name, ctx.Err())
		case <-time.After(look):
		}
	}
}
