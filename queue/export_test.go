package queue

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
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

// GiveBack has a node give back all groups that it holds; unsure is whether it
// does not know if its last intent was written.
func (db *DB) GiveBack(ctx context.Context, node int32, unsure bool) error {
	v := newServing(&Server{DB: db}, Node{ID: node}, nil, slog.New(slog.DiscardHandler))
	for grp := range int16(groups) {
		v.held[grp] = 1
	}
	v.unsure = unsure
	return v.giveBack(ctx, 0)
}

// TriesBegun writes a journal on tries of one recipient, and returns those that
// whoever reads it must take for begun.
func TriesBegun(dir string, write func(begin, end, recorded func(try int))) (tries []int, err error) {
	j, err := openJournal(dir, newIncarnation())
	if err != nil {
		return nil, err
	}
	defer j.remove()
	of := func(try int) *result {
		return &result{batch: 1, seq: 1, try: try, Outcome: Outcome{State: Bounced, Class: AuthRejected}}
	}
	write(func(try int) { j.begin(of(try)) }, func(try int) { j.end(of(try)) }, func(try int) { j.recorded([]result{*of(try)}) })
	text, err := os.ReadFile(filepath.Join(j.dir, journalFile))
	if err != nil {
		return nil, err
	}
	l, err := parseJournal(text, bootID())
	for f := range l.begun {
		tries = append(tries, int(f.try))
	}
	return tries, err
}
