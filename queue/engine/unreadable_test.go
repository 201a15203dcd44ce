package engine_test

import (
	"strings"
	"testing"

	"enotify/queue"
	"enotify/queue/insight"
	"enotify/queue/queuetest"

	"github.com/google/go-cmp/cmp"
)

// A batch that cannot be read, which the schema refuses and an older schema or a
// hand in the tables may have left, is blocked with the reason. The others are
// sent, and it can be listed, audited and cancelled.
func TestUnreadableBatchIsSetAside(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]string{
		"never expires":    `UPDATE enotify.batch SET expires_at = 'infinity' WHERE id = $1`,
		"before all times": `UPDATE enotify.batch SET not_before = '-infinity' WHERE id = $1`,
		"far future":       `UPDATE enotify.batch SET expires_at = '294276-12-31' WHERE id = $1`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := queuetest.NewFixture(t)
			f.Exec(`ALTER TABLE enotify.batch DROP CONSTRAINT batch_expires_at_check, DROP CONSTRAINT batch_not_before_check`)
			bad := f.Enqueue("menu", 10, "a.example")
			good := f.Enqueue("agenda", 10, "a.example")
			f.Exec(damage, bad)
			f.Serve(f.Server("n1", queuetest.Deliver))
			if got, want := f.States(good), map[string]int{"delivered": 10}; !cmp.Equal(got, want) {
				t.Errorf("the batch behind it: got %v, want %v", got, want)
			}
			all, err := f.DB.Batches(t.Context(), queue.Filter{})
			if err != nil || len(all) != 2 {
				t.Fatalf("Batches: got %d and %v, want 2", len(all), err)
			}
			if name == "never expires" {
				s, err := f.DB.Status(t.Context(), bad)
				if err != nil || s.State != "blocked" || !strings.Contains(s.Reason, "expires_at") {
					t.Errorf("it: got %s, reason %q and %v, want blocked for its expires_at", s.State, s.Reason, err)
				}
				if _, err := insight.Of(f.DB).Audit(t.Context(), bad); err != nil {
					t.Errorf("audit: %v", err)
				}
				if err := f.DB.Cancel(t.Context(), bad, "a mistake"); err != nil {
					t.Errorf("cancel: %v", err)
				}
				f.Serve(f.Server("n2", queuetest.Deliver))
				if got := queuetest.Query[bool](f, `SELECT finished_at IS NOT NULL FROM enotify.batch WHERE id = $1`,
					bad); !got {
					t.Error("the cancelled one has not finished")
				}
			}
		})
	}
}
