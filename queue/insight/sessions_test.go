package insight_test

import (
	"slices"
	"testing"
	"time"

	"enotify/queue/insight"
	"enotify/queue/queuetest"
)

// A transaction that stays open is listed with its process and login.
func TestLongTransactions(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	app := queuetest.Connect(t, queuetest.Login(t, f.URL, "enotify_app"))
	for _, sql := range []string{`BEGIN ISOLATION LEVEL REPEATABLE READ`, `SELECT FROM enotify.batch_status`} {
		if _, err := app.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	reader := insight.Of(f.DB)
	for open, want := range map[time.Duration]bool{0: true, time.Hour: false} {
		all, err := reader.LongTransactions(t.Context(), open)
		if err != nil {
			t.Fatal(err)
		}
		if got := slices.ContainsFunc(all, func(l insight.LongTransaction) bool {
			return l.PID == int32(app.PgConn().PID()) && l.Login == app.Config().User && l.State == "idle in transaction"
		}); got != want {
			t.Errorf("open for %v: got %v, want the one of %s: %v", open, all, app.Config().User, want)
		}
	}
	if sees, err := reader.SeesTransactions(t.Context()); err != nil || !sees {
		t.Errorf("a superuser sees transactions: got %v and %v, want true", sees, err)
	}
}
