package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"enotify/queue"
	"enotify/queue/insight"
)

// durability watches for settings under which the database may forget what it
// has committed.
type durability struct {
	db      *queue.DB
	log     *slog.Logger
	alert   func(queue.Alert)
	require bool            // refuse to start with one
	told    map[string]bool // settings that were warned of
}

const durabilityEvery = time.Minute

// start looks once. It fails when a setting is not good enough for require.
func (d *durability) start(ctx context.Context) error {
	risks, err := d.look(ctx)
	if err != nil || !d.require || len(risks) == 0 {
		return err
	}
	var all []string
	for _, r := range risks {
		all = append(all, fmt.Sprintf("%s (%s; set %s)", r.Setting, r.Harm, r.Cure))
	}
	return errors.New("--require-durable: the database may forget what it has committed: " + strings.Join(all, "; "))
}

// run looks each minute, until ctx ends.
func (d *durability) run(ctx context.Context) {
	every(ctx, durabilityEvery, func() {
		if _, err := d.look(ctx); err != nil && ctx.Err() == nil {
			d.log.Debug("durability of the database is not known", "error", err)
		}
	})
}

// look raises an alert for each new risk.
func (d *durability) look(ctx context.Context) ([]insight.Risk, error) {
	risks, err := insight.Of(d.db).Durability(ctx)
	if err != nil {
		return nil, err
	}
	told := map[string]bool{}
	for _, r := range risks {
		told[r.Cure] = true
		if d.told[r.Cure] {
			continue
		}
		d.log.Warn("the database may forget what it has committed", "setting", r.Setting, "harm", r.Harm, "set", r.Cure)
		a := queue.Alert{Kind: queue.AlertDurability, Text: r.Setting + ": " + r.Harm, Next: "set " + r.Cure +
			" in postgresql.conf; enotify help failover"}
		d.alert(a)
		if err := d.db.Raise(ctx, a); err != nil {
			return nil, err
		}
	}
	d.told = told
	return risks, nil
}
