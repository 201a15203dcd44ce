package engine

import (
	"context"
	"sync"

	"github.com/jackc/pgx/v5"
)

// intents is the number of the writer of intents in table node_mark. The writers
// of outcomes follow.
const intents = 0

// marks are the numbers of the last transactions of each writer of this node, as
// the database has told. It can only know a lower one if it went back.
type marks struct {
	mu   sync.Mutex
	told map[int16]int64
}

// note takes the number that the database gave the last transaction of a writer.
// One that is no higher than the one before shows that the database went back:
// then the one before stays, for behind.
func (m *marks) note(writer int16, n int64) (back bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if n <= m.told[writer] {
		return true
	}
	if m.told == nil {
		m.told = map[int16]int64{}
	}
	m.told[writer] = n
	return false
}

// list returns a copy.
func (m *marks) list() map[int16]int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	told := make(map[int16]int64, len(m.told))
	for writer, n := range m.told {
		told[writer] = n
	}
	return told
}

// reset takes what the database knows for the truth from here on.
func (m *marks) reset(known map[int16]int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.told = known
}

// behind reports whether the database has forgotten transactions of these.
func behind(known, told map[int16]int64) bool {
	for writer, n := range told {
		if known[writer] < n {
			return true
		}
	}
	return false
}

const marksSQL = `SELECT writer, n FROM enotify.node_mark WHERE node_id = $1`

// marks reads what the database knows of a node's transactions.
func (db *store) marks(ctx context.Context, node int32) (map[int16]int64, error) {
	rows, err := db.pool.Query(ctx, marksSQL, node)
	if err != nil {
		return nil, err
	}
	known := map[int16]int64{}
	var writer int16
	var n int64
	_, err = pgx.ForEachRow(rows, []any{&writer, &n}, func() error { known[writer] = n; return nil })
	return known, err
}
