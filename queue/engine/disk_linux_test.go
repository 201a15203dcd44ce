package engine_test

import (
	"context"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"enotify/queue"
	"enotify/queue/queuetest"
)

// The disk of PostgreSQL takes no more outcomes: what was under way is kept,
// nothing else begins, and with room again the node goes on by itself. Full is
// a file beyond its limit (RLIMIT_FSIZE in setrlimit(2)), which needs no root:
// the table of outcomes is as large already, the segments of the WAL fit in.
func TestDatabaseOnAFullDisk(t *testing.T) {
	t.Parallel()
	const limit = 16 << 20 // bytes, of a segment of the WAL
	f := queuetest.NewOwnServer(t, true)
	f.Exec(`ALTER TABLE enotify.outcome SET (autovacuum_enabled = off)`)
	// rows that never were fill the file
	for queuetest.Query[int](f.Fixture, `SELECT pg_relation_size('enotify.outcome')::int`) < limit {
		f.Exec(`BEGIN`)
		f.Exec(`INSERT INTO enotify.outcome (batch_id, seq, state, reply) SELECT -1, i, 'unknown', repeat('x', 900) FROM generate_series(1, 20000) i`)
		f.Exec(`ROLLBACK`)
	}
	batch := f.Enqueue("menu", 3000, "a.example", "b.example", "c.example")

	refusals := &counted{text: []byte("File too large")}
	s := f.Server("n1", func(ctx context.Context, m queue.Message) queue.Outcome {
		time.Sleep(time.Millisecond)
		o := queuetest.Deliver(ctx, m)
		o.Reply.Text = strings.Repeat("a long reply ", 20) // two dozen to a page
		return o
	})
	s.UntilIdle, s.MaxInFlight, s.Log = false, 20, slog.New(slog.NewTextHandler(refusals, nil))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	served := make(chan error, 1)
	go func() { served <- f.Run(ctx, s, "pass") }()
	f.Until(func() {}, `SELECT delivered >= 300 FROM enotify.batch_status WHERE id = $1`, batch)

	limitFiles(f, strconv.Itoa(limit))
	refusals.await(t, 2)
	sent := len(f.Sent())
	refusals.await(t, 4)
	if got := len(f.Sent()); got > sent+2*s.MaxInFlight || got == 3000 {
		t.Errorf("begun while nothing could be recorded: got %d, want no more than were under way, from %d", got, sent)
	}
	limitFiles(f, "unlimited")

	f.Until(cancel, `SELECT state = 'done' FROM enotify.batch WHERE id = $1`, batch)
	if err := <-served; err != nil {
		t.Fatal(err)
	}
	if got, want := f.States(batch), map[string]int{"delivered": 3000}; !cmp.Equal(got, want) {
		t.Errorf("states: got %v, want %v", got, want)
	}
	f.SentOnce(3000)
}

// limitFiles sets how large a file may get, in bytes or "unlimited", that the
// server's present and future sessions write (prlimit(1)).
func limitFiles(f *queuetest.OwnServer, limit string) {
	f.Helper()
	data := filepath.Join(f.Dir, "data")
	text, err := os.ReadFile(filepath.Join(data, "postmaster.pid"))
	if err != nil {
		f.Fatal(err)
	}
	postmaster, _, _ := strings.Cut(string(text), "\n")
	set := func(pid string) ([]byte, error) {
		cmd := exec.Command("prlimit", "--pid", pid, "--fsize="+limit+":unlimited")
		cmd.SysProcAttr = queuetest.AsOwner(f.T, data)
		return cmd.CombinedOutput()
	}
	if out, err := set(postmaster); err != nil { // before those that it has started: none is missed
		f.Fatalf("prlimit: %v: %s", err, out)
	}
	for _, pid := range queuetest.Query[[]string](f.Fixture,
		`SELECT array_agg(pid::text) FROM pg_stat_activity WHERE backend_type = 'client backend'`) {
		_, _ = set(pid) // it may have ended
	}
}
