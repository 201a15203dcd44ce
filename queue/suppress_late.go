package queue

import (
	"context"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// lateSuppressions are what results did to addresses that another transaction had locked
// when the results were recorded. They are in memory until that one ends: what is lost
// with the program is found out again by the next reply.
type lateSuppressions struct {
	mu      sync.Mutex
	waiting []suppressing
	running bool
}

const (
	lateEvery = time.Second // between tries
	lateWaits = 3           // for locks, in a try
	lateMost  = 10_000      // results whose suppressions wait; more are dropped
	lateClose = 2 * time.Second
)

// add has suppressions tried until no other transaction is in their way.
func (l *lateSuppressions) add(db *DB, p suppressing) {
	if p.empty() {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting = append(l.waiting, p.alone()...)
	l.waiting = l.waiting[max(0, len(l.waiting)-lateMost):]
	if !l.running {
		l.running = true
		go l.run(db)
	}
}

func (l *lateSuppressions) run(db *DB) {
	for {
		select {
		case <-db.life.Done():
			return
		case <-time.After(lateEvery):
		}
		l.try(db.life, db)
		l.mu.Lock()
		l.running = len(l.waiting) > 0
		running := l.running
		l.mu.Unlock()
		if !running {
			return
		}
	}
}

// try carries out those that nobody is in the way of, each in a transaction of its own. After
// a few that wait it leaves the others to the next time.
func (l *lateSuppressions) try(ctx context.Context, db *DB) {
	l.mu.Lock()
	waiting := l.waiting
	l.waiting = nil
	l.mu.Unlock()
	var left []suppressing
	for i, p := range waiting {
		if len(left) == lateWaits {
			left = append(waiting[i:], left...)
			break
		}
		var b pgx.Batch
		p.queue(&b)
		if err := db.pool.SendBatch(ctx, &b).Close(); err != nil {
			left = append(left, p)
		}
	}
	l.mu.Lock()
	l.waiting = append(left, l.waiting...)
	l.mu.Unlock()
}

// close tries once more, before the connections are closed.
func (l *lateSuppressions) close(db *DB) {
	l.mu.Lock()
	some := len(l.waiting) > 0
	l.mu.Unlock()
	if some {
		ctx, cancel := context.WithTimeout(db.life, lateClose)
		defer cancel()
		l.try(ctx, db)
	}
}
