package engine

import (
	"context"
	"maps"
	"sync"

	"github.com/jackc/pgx/v5"
)

// intents is the number of the writer of intents in table node_mark. The writers
// of outcomes follow.
const intents = 0

// marks are the numbers of the last transactions of each writer of this node, as
// the database has told. It can only know a lower one if it went back.
type marks struct {
	// settling is held shared while outcomes are written and noted, and alone while
	// the node finds out what the database has forgotten.
	settling sync.RWMutex

	mu   sync.Mutex
	told map[int16]int64
	back map[int16]int64 // what the database knew when a number showed that it went back
}

// note takes the number that the database gave the last transaction of a writer.
// One that is no higher than the one before shows that the database went back.
func (m *marks) note(writer int16, n int64) (back bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.told == nil {
		m.told, m.back = map[int16]int64{}, map[int16]int64{}
	}
	if n <= m.told[writer] {
		if _, ok := m.back[writer]; !ok {
			m.back[writer] = max(n-1, 0)
		}
		return true
	}
	m.told[writer] = n
	return false
}

// compare returns what the node was told, and lowers known to what the database
// knew before transactions of this node that came after it went back.
func (m *marks) compare(known map[int16]int64) (told map[int16]int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for writer, n := range m.back {
		known[writer] = min(known[writer], n)
	}
	return maps.Clone(m.told)
}

// settled forgets that the database went back. Its numbers again come from told.
func (m *marks) settled() {
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.back)
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

// The numbers go on from the highest that a writer was told: none is used twice.
const raiseMarksSQL = `
INSERT INTO enotify.node_mark AS m (node_id, writer, n) SELECT n.id, w.* FROM enotify.node n
  CROSS JOIN unnest($2::smallint[], $3::bigint[]) w WHERE n.id = $1
ON CONFLICT (node_id, writer) DO UPDATE SET n = greatest(m.n, excluded.n)`

// raiseMarks has the database count on from there.
func (db *store) raiseMarks(ctx context.Context, node int32, told map[int16]int64) error {
	var writers []int16
	var numbers []int64
	for writer, n := range told {
		writers, numbers = append(writers, writer), append(numbers, n)
	}
	_, err := db.pool.Exec(ctx, raiseMarksSQL, node, writers, numbers)
	return err
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
