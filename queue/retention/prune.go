package retention

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"enotify/queue"
)

// pruneStep is how many recipients are dropped in one transaction: less than 0.1 s,
// so that its locks are short.
const pruneStep = 20000

const prunableSQL = `
finished_at < now() - $1::interval AND ($2 = '' OR client = $2)
  AND (pruned_at IS NULL OR EXISTS (SELECT FROM enotify.recipient r WHERE r.batch_id = id)) -- interrupted
ORDER BY id`

// Prunable lists the batches that finished longer ago than keep and have not
// been pruned, the oldest first; with a client, its own.
func (s Store) Prunable(ctx context.Context, keep time.Duration, client string) ([]queue.Status, error) {
	if client != "" {
		domain, err := s.db.Domain(ctx, client)
		if err != nil {
			return nil, err
		}
		client = domain
	}
	return queue.Statuses(ctx, s.db.Pool(), prunableSQL, keep, client)
}

const pruneSQL = `SELECT enotify.prune_batch($1, $2, $3)`

// pruners is how many connections drop the recipients of one batch.
const pruners = 2

// Prune drops the content of a finished batch, its recipients and their outcomes. It
// calls progress after each transaction, one call at a time, with the number of
// recipients dropped so far. The batch, its counts and its log stay, and so do
// suppressions and verdicts that resulted from it. Prune may be interrupted, and called
// again.
func (s Store) Prune(ctx context.Context, batch int64, progress func(recipients int)) error {
	done, more, err := s.prune(ctx, batch, 0) // and the content
	if err != nil || !more {
		return err
	}
	progress(done)
	var mu sync.Mutex
	next := done
	group, ctx := errgroup.WithContext(ctx)
	for range pruners {
		group.Go(func() error {
			for {
				mu.Lock()
				after := next
				next += pruneStep
				mu.Unlock()
				_, more, err := s.prune(ctx, batch, after)
				if err != nil || !more {
					return err
				}
				mu.Lock()
				done += pruneStep
				progress(done)
				mu.Unlock()
			}
		})
	}
	return group.Wait()
}

// prune drops the recipients after a number, some at a time. It returns the number of the
// last one, and whether there are more.
func (s Store) prune(ctx context.Context, batch int64, after int) (last int, more bool, err error) {
	var next *int
	if err := s.db.Pool().QueryRow(ctx, pruneSQL, batch, after, pruneStep).Scan(&next); err != nil {
		return 0, false, queue.AsRefusal(err)
	}
	if next == nil {
		return 0, false, nil
	}
	return *next, true, nil
}
