package engine_test

import (
	"bytes"
	"context"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"enotify/queue/queuetest"
)

// The URL of a node leads to a standby all at once, as after a failover that
// went to the wrong one: it says so, sends nothing that it cannot record, and
// goes on by itself when the standby is promoted.
func TestDatabaseTurnsIntoAStandby(t *testing.T) {
	t.Parallel()
	f := queuetest.NewOwnServer(t, true)
	batch := f.Enqueue("menu", 2000, "a.example", "b.example", "c.example")

	refusals := &counted{text: []byte("read-only transaction")}
	var some ration // so that it is not through before the database is a standby
	some.most.Store(1000)
	s := f.Server("n1", some.handle)
	s.UntilIdle, s.MaxInFlight, s.Log = false, 20, slog.New(slog.NewTextHandler(refusals, nil))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	served := make(chan error, 1)
	go func() { served <- f.Run(ctx, s, "pass") }()
	f.Until(func() {}, `SELECT delivered >= 300 FROM enotify.batch_status WHERE id = $1`, batch)
	if err := f.PostgreSQL.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	queuetest.StartStandby(t, filepath.Join(f.Dir, "data"))

	refusals.await(t, 2)
	sent := len(f.Sent())
	refusals.await(t, 4)
	if got := len(f.Sent()); got != sent || got == 2000 {
		t.Errorf("begun on a standby: got %d, want none beyond the %d before", got, sent)
	}

	some.most.Store(2 * 2000)
	f.Conn = queuetest.ConnectWhenUp(t, f.URL)
	if !queuetest.Query[bool](f.Fixture, `SELECT pg_promote()`) {
		t.Fatal("the standby was not promoted")
	}
	f.Until(cancel, `SELECT state = 'done' FROM enotify.batch WHERE id = $1`, batch)
	if err := <-served; err != nil {
		t.Fatal(err)
	}
	if got, want := f.States(batch), map[string]int{"delivered": 2000}; !cmp.Equal(got, want) {
		t.Errorf("states: got %v, want %v", got, want)
	}
	f.SentOnce(2000)
}

// counted is a log that counts the lines that hold a text.
type counted struct {
	text []byte

	mu    sync.Mutex
	lines int
}

func (c *counted) Write(p []byte) (int, error) {
	if bytes.Contains(p, c.text) {
		c.mu.Lock()
		c.lines++
		c.mu.Unlock()
	}
	return len(p), nil
}

// await waits for the nth line.
func (c *counted) await(t *testing.T, n int) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(5 * time.Millisecond) {
		c.mu.Lock()
		lines := c.lines
		c.mu.Unlock()
		if lines >= n {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("lines with %q: got %d, want %d", c.text, lines, n)
		}
	}
}
