package queue

import (
	"context"
	"time"
)

// Record writes the result of a try, as a node does whose answer was late.
func (db *DB) Record(ctx context.Context, batch int64, seq, domainID int32, grp int16, try int, o Outcome) error {
	_, err := db.finish(ctx, []result{{batch: batch, seq: seq, domainID: domainID, grp: grp, try: try, attempts: try, at: time.Now(), Outcome: o}})
	return err
}

// WriteJournal writes the lines of messages to a new journal while more says so.
func WriteJournal(dir string, more func() bool) error {
	j, err := openJournal(dir, newIncarnation())
	if err != nil {
		return err
	}
	defer j.remove()
	var rs []result
	for seq := int32(1); more(); seq++ {
		r := result{batch: 1234, seq: seq, domainID: 77, grp: 5, try: 1, Outcome: Outcome{State: Delivered, Host: "mx1.example.org", Site: "example.org",
			Reply: Reply{Code: 250, Enhanced: "2.0.0", Text: "OK  1732320000 a640c23a62f3a-aa50f572eb5si393812366b.45 - gsmtp"}}}
		if !j.begin(&r) {
			return j.err
		}
		j.end(&r)
		if rs = append(rs, r); len(rs) == minFlush {
			j.recorded(rs)
			rs = rs[:0]
		}
	}
	return j.err
}

// KeepMemos writes memos as the given node does.
func (db *DB) KeepMemos(ctx context.Context, node int32, memos []Memo) ([]Memo, error) {
	return db.keepMemos(ctx, node, memos)
}

// Setting asks for one of the server, as it is on a connection of the pool.
func (db *DB) Setting(ctx context.Context, name string) (value string, err error) {
	return value, db.pool.QueryRow(ctx, `SELECT current_setting($1)`, name).Scan(&value)
}
