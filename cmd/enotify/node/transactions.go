package node

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"enotify/cmd/enotify/figures"
	"enotify/queue"
	"enotify/queue/insight"
)

// transactions watches for sessions that leave a transaction open and do nothing: while they
// do, every row of the queue that changes stays in the tables, and statements read them all.
type transactions struct {
	db    *queue.DB
	log   *slog.Logger
	alert func(queue.Alert)
	told  map[int32]bool // processes that were told of
}

const transactionsEvery = time.Minute

func (t *transactions) run(ctx context.Context) {
	every(ctx, transactionsEvery, func() {
		if err := t.look(ctx, insight.LongTransactionAge); err != nil && ctx.Err() == nil {
			t.log.Debug("open transactions could not be read", "error", err)
		}
	})
}

// look raises an alert for each new transaction of that age. Transactions of other logins are seen by members of
// pg_read_all_stats alone; doctor says so.
func (t *transactions) look(ctx context.Context, age time.Duration) error {
	long, err := insight.Of(t.db).LongTransactions(ctx, age)
	if err != nil {
		return err
	}
	told := map[int32]bool{}
	for _, l := range long {
		if !strings.HasPrefix(l.State, "idle in transaction") {
			continue
		}
		told[l.PID] = true
		if t.told[l.PID] {
			continue
		}
		t.log.Warn("a session leaves a transaction open, and slows the sending down", "login", l.Login, "process", l.PID,
			"open_for", l.Age)
		a := queue.Alert{Kind: queue.AlertTransaction, Text: fmt.Sprintf("process %d of login %s has left a transaction "+
			"open for %s: until it ends PostgreSQL removes no changed row, and sending gets slower", l.PID, l.Login,
			figures.Span(l.Age)), Next: fmt.Sprintf("SELECT pg_terminate_backend(%d)", l.PID)}
		t.alert(a)
		if err := t.db.Raise(ctx, a); err != nil {
			return err
		}
	}
	t.told = told
	return nil
}
