package insight_test

import (
	"errors"
	"testing"

	"enotify/queue"
	"enotify/queue/insight"
	"enotify/queue/queuetest"
)

func TestAuditFindsWhatIsLost(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	id := queuetest.Query[int64](f, `SELECT enotify.enqueue('a', 'info@town.example', 'Hello', 'Text', ARRAY['anna@one.example', 'bruno@two.example', 'no address'])`)
	for _, batch := range []int64{id, 0} { // 0 is all of them
		audits, err := insight.Of(f.DB).Audit(t.Context(), batch)
		if err != nil {
			t.Fatalf("audit of batch %d: %v", batch, err)
		}
		if len(audits) != 1 || audits[0].Total != 3 || audits[0].States["invalid"] != 1 || len(audits[0].Problems) > 0 {
			t.Errorf("audit of batch %d: got %+v, want 3 recipients, 1 of them invalid, and no problem", batch, audits)
		}
	}

	f.Exec(`DELETE FROM enotify.recipient WHERE address = 'anna@one.example'`)
	audits, err := insight.Of(f.DB).Audit(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if len(audits[0].Problems) == 0 {
		t.Errorf("audit without a recipient: got %+v, want problems", audits[0])
	}
	if _, err := insight.Of(f.DB).Audit(t.Context(), id+1); !errors.Is(err, queue.ErrNotFound) {
		t.Errorf("audit of a batch that is none: got %v, want ErrNotFound", err)
	}
}
