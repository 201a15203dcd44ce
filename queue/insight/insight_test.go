package insight_test

import (
	"strings"
	"testing"

	"enotify/queue/insight"
	"enotify/queue/queuetest"
)

// Whatever a question runs, PostgreSQL lets it change no table: not even where
// it makes temporary tables.
func TestReaderChangesNothing(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	f.Enqueue("menu", 3, "a.example")
	reader := insight.Of(f.DB)
	for _, sql := range []string{
		`UPDATE enotify.batch SET reason = 'changed'`,
		`SELECT enotify.pause_batch(id, 'changed') FROM enotify.batch`,
		`INSERT INTO enotify.client (domain) VALUES ('other.example')`,
	} {
		for what, tables := range map[string][]string{"plain": nil,
			"with a temporary table": {`CREATE TEMP TABLE scratch (n int) ON COMMIT DROP`}} {
			if err := reader.Exec(t.Context(), sql, tables...); err == nil || !strings.Contains(err.Error(), "read-") {
				t.Errorf("%s, %s: got error %v, want a refusal of the read-only transaction", sql, what, err)
			}
		}
	}
	if err := reader.Exec(t.Context(), `INSERT INTO scratch VALUES (1)`,
		`CREATE TEMP TABLE scratch (n int) ON COMMIT DROP`); err != nil {
		t.Errorf("fill a temporary table: %v", err)
	}
}
