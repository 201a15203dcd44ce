package node_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"enotify/cmd/enotify/node"
	"enotify/queue"
	"enotify/queue/queuetest"
)

// A session that leaves a transaction open is named once, with the statement that ends it.
func TestOldTransactionsAreTold(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	app := queuetest.Connect(t, queuetest.Login(t, f.URL, "enotify_app"))
	for _, sql := range []string{`BEGIN ISOLATION LEVEL REPEATABLE READ`, `SELECT FROM enotify.batch_status`} {
		if _, err := app.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	var told []queue.Alert
	for _, age := range []time.Duration{time.Hour, 0} {
		if err := node.LookAtTransactions(t.Context(), f.DB, age, func(a queue.Alert) { told = append(told, a) }); err != nil {
			t.Fatal(err)
		}
	}
	pid := app.PgConn().PID()
	if len(told) != 1 || told[0].Kind != queue.AlertTransaction || told[0].Next != fmt.Sprintf("SELECT pg_terminate_backend(%d)", pid) ||
		!strings.HasPrefix(told[0].Text, fmt.Sprintf("process %d of login %s ", pid, app.Config().User)) {
		t.Fatalf("alerts: got %v, want one of process %d", told, pid)
	}
	if got := queuetest.Query[int](f, `SELECT count(*)::int FROM enotify.alert_log WHERE kind = 'old_transaction'`); got != 1 {
		t.Errorf("kept alerts: got %d, want 1", got)
	}
}
