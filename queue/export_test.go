package queue

import (
	"context"
	"time"
)

// Record writes the result of a try, as a node does whose answer was late.
func (db *DB) Record(ctx context.Context, batch int64, seq, domainID int32, grp int16, try int, o Outcome) error {
	now := time.Now()
	_, err := db.finish(ctx, []result{{batch: batch, seq: seq, domainID: domainID, grp: grp, try: try, attempts: try, due: now, at: now, Outcome: o}})
	return err
}

// KeepMemos writes memos as the given node does.
func (db *DB) KeepMemos(ctx context.Context, node int32, memos []Memo) ([]Memo, error) {
	return db.keepMemos(ctx, node, memos)
}
