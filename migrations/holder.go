package migrations

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// A Holder is a session that holds a table which a migration must change.
type Holder struct {
	PID   int32
	Login string    // "" when it is a process of the server
	Since time.Time // when its transaction began; zero when this login may not see that
	State string    // "idle in transaction", "active"; "" when this login may not see it
}

func (h Holder) String() string {
	s := fmt.Sprintf("process %d of login %s", h.PID, h.Login)
	if h.Login == "" {
		s = fmt.Sprintf("process %d of the server", h.PID)
	}
	if h.Since.IsZero() {
		return s
	}
	return fmt.Sprintf("%s, %s since %s", s, cmp.Or(h.State, "in a transaction"), h.Since.Format(time.DateTime+" MST"))
}

// inTheWay is the error of a migration that gave up because of h.
func (h Holder) inTheWay(err error) error {
	if h.PID == 0 {
		return fmt.Errorf("a table that must change is in use: %w; run enotify migrate again", err)
	}
	return &inUseError{h, err}
}

type inUseError struct {
	Holder
	cause error
}

func (e *inUseError) Error() string {
	return fmt.Sprintf("a table that must change is in use by %v: "+
		"end that transaction (SELECT pg_terminate_backend(%d)), then run enotify migrate", e.Holder, e.PID)
}

func (e *inUseError) Unwrap() error { return e.cause }

// A watcher finds out who holds the table that a migration waits for, on a
// connection of its own: the migration's session cannot ask while it waits, and
// after that the server no longer knows.
type watcher struct {
	config *pgx.ConnConfig
	tell   func(Holder) // may be nil

	mu     sync.Mutex
	holder Holder // the last one
}

// last is who was in the way last; the zero Holder when nobody was seen.
func (w *watcher) last() Holder {
	if w == nil {
		return Holder{}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.holder
}

// start watches the session pid until the function returned is called. A nil
// watcher does not.
func (w *watcher) start(ctx context.Context, pid int32) (stop func()) {
	if w == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	var done sync.WaitGroup
	done.Go(func() { w.watch(ctx, pid) })
	return func() { cancel(); done.Wait() }
}

// The oldest transaction is the one most likely forgotten. A login that is no
// superuser sees no more of other logins' sessions than process and login.
const holderSQL = `
SELECT a.pid, coalesce(a.usename::text, ''), coalesce(a.xact_start, 'epoch'), coalesce(a.state, '')
FROM unnest(pg_blocking_pids($1)) b (pid) JOIN pg_stat_activity a ON a.pid = b.pid
ORDER BY a.xact_start, a.pid LIMIT 1`

func (w *watcher) watch(ctx context.Context, pid int32) {
	conn, err := pgx.ConnectConfig(ctx, w.config)
	if err != nil {
		return // the migration goes on without
	}
	defer conn.Close(context.WithoutCancel(ctx))
	for {
		var h Holder
		switch err := conn.QueryRow(ctx, holderSQL, unprepared, pid).Scan(&h.PID, &h.Login, &h.Since, &h.State); {
		case err == nil:
			w.saw(h)
		case !errors.Is(err, pgx.ErrNoRows):
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(LockTimeout / 5):
		}
	}
}

func (w *watcher) saw(h Holder) {
	if h.Since.Unix() == 0 {
		h.Since = time.Time{}
	}
	w.mu.Lock()
	isNew := h.PID != w.holder.PID
	w.holder = h
	w.mu.Unlock()
	if isNew && w.tell != nil {
		w.tell(h)
	}
}
