package main_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"enotify/cmd/enotify/sitetest"
	"enotify/queue"
	"enotify/queue/queuetest"
	"enotify/sender/smtptest"
)

// Two providers refuse the client's mail though SPF passes. Its batch is
// blocked with their words, somebody hears of it, and once the fault is cured
// exactly the recipients that were refused get their message.
func TestRefusalsBlockAndAreCured(t *testing.T) {
	t.Parallel()
	const words = "550 5.7.26 This mail is unauthenticated, SPF and DKIM did not pass"
	var cured atomic.Bool
	s := newSite(t, smtptest.Config{Reply: func(c smtptest.Command) string {
		if c.Verb == "RCPT" && !cured.Load() && !strings.Contains(c.To, ".test") {
			return words
		}
		return ""
	}})
	if err := s.DNS.Put("mx.alpha.example. A 127.0.0.1\n*.alpha.example. MX 10 mx.alpha.example.\nmx.beta.example. A 127.0.0.1\n*.beta.example. MX 10 mx.beta.example.\n"); err != nil {
		t.Fatal(err)
	}
	app, err := pgx.Connect(t.Context(), s.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { app.Close(context.Background()) })
	if _, err := app.Exec(t.Context(), `LISTEN enotify_alert`); err != nil {
		t.Fatal(err)
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := free.Addr().String()
	free.Close()

	// So that there is something left to block.
	s.Exec(`INSERT INTO enotify.destination (name, rate_messages, rate_per, burst) VALUES ('e.test', 1, '1 min', 1)`)
	batch := ask[int64](s, `SELECT enotify.enqueue('agenda', 'info@town.example', 'Agenda', 'Come.', ARRAY(
		SELECT format('user%s@%s', i, (ARRAY['d.test', 'news.alpha.example', 'beta.beta.example', 'e.test'])[1 + i % 4]) FROM generate_series(1, 40) i))`)
	id := fmt.Sprint(batch)
	s.Start("run", "--listen", addr)
	s.Until(`SELECT state = 'blocked' FROM enotify.batch WHERE id = $1`, batch)

	// Somebody hears of it.
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var alert queue.Alert
	for alert.Kind != queue.AlertClientBlocked {
		n, err := app.WaitForNotification(ctx)
		if err != nil {
			t.Fatalf("no alert that the client is blocked: %v", err)
		}
		var told struct{ ID int64 }
		if err := json.Unmarshal([]byte(n.Payload), &told); err != nil {
			t.Fatalf("alert %s: %v", n.Payload, err)
		}
		if err := app.QueryRow(ctx, `SELECT kind, coalesce(client, ''), coalesce(batch_id, 0), next FROM enotify.alert WHERE id = $1`, told.ID).
			Scan(&alert.Kind, &alert.Client, &alert.Batch, &alert.Next); err != nil {
			t.Fatalf("alert %d: %v", told.ID, err)
		}
	}
	if alert.Client != "town.example" || alert.Batch != batch || alert.Next != "enotify batch show "+id {
		t.Errorf("alert: got %+v, want client, batch and the next command", alert)
	}
	for counted := ""; !strings.Contains(counted, `enotify_alerts_total{kind="client_blocked"} 1`); {
		if ctx.Err() != nil {
			t.Fatalf("/metrics never counts the alert: %s", counted)
		}
		_, _, counted = sitetest.Request(t, http.MethodGet, "http://"+addr+"/metrics", nil)
	}

	// The verdict shows its evidence.
	show := s.Run("batch", "show", id)
	for _, want := range []string{"blocked", "alpha.example", "beta.example", "This mail is unauthenticated",
		"enotify client zone town.example"} {
		if !strings.Contains(show, want) {
			t.Errorf("batch show lacks %q:\n%s", want, show)
		}
	}

	// The fault is cured: the batch goes on, and is done.
	cured.Store(true)
	s.Exec(`DELETE FROM enotify.destination WHERE name = 'e.test'`)
	s.Run("batch", "resume", id)
	s.Until(`SELECT state = 'done' FROM enotify.batch WHERE id = $1`, batch)
	refused := ask[[]string](s, `SELECT array_agg(address ORDER BY address) FROM enotify.delivery WHERE batch_id = $1 AND class = 'auth_rejected'`, batch)
	if len(refused) < 3 {
		t.Errorf("refused: got %v, want three at least", refused)
	}
	before := s.SMTP.Copies()
	if got, want := len(before), 40-len(refused); got != want {
		t.Errorf("had it before the requeue: got %d, want %d, all but those refused", got, want)
	}

	s.Run("batch", "requeue", id, "--class", "auth_rejected", "--yes")
	s.Until(`SELECT delivered = 40 AND state = 'done' FROM enotify.batch_status WHERE id = $1`, batch)
	var again []string
	after := s.SMTP.Copies()
	queuetest.Copies(t, after, 40, 1)
	for address := range after {
		if before[address] == 0 {
			again = append(again, address)
		}
	}
	slices.Sort(again)
	if diff := cmp.Diff(refused, again); diff != "" {
		t.Errorf("sent to by the requeue, not to those refused (-want +got):\n%s", diff)
	}
	s.Run("batch", "audit", id)
}

// Hosts that take no mail for three recipients' domains end those three; the
// campaign to the other 300, and the client's next batch, go on.
func TestDeadDomainsBlockNobody(t *testing.T) {
	t.Parallel()
	s := newSite(t, smtptest.Config{Reply: func(c smtptest.Command) string {
		if c.Verb == "RCPT" && strings.HasSuffix(c.To, ".example") {
			return "554 5.7.1 <" + c.To + ">: Relay access denied"
		}
		return ""
	}})
	if err := s.DNS.Put("mx.p72.example. A 127.0.0.1\np72.example. MX 10 mx.p72.example.\nmx.p73.example. A 127.0.0.1\np73.example. MX 10 mx.p73.example.\n"); err != nil {
		t.Fatal(err)
	}
	batch := ask[int64](s, `SELECT enotify.enqueue('agenda', 'info@town.example', 'Agenda', 'Come.',
		'{a@p72.example, b@p72.example, c@p73.example}' || ARRAY(SELECT format('g%s@p80.test', i) FROM generate_series(1, 300) i))`)
	next := ask[int64](s, `SELECT enotify.enqueue('urgent', 'info@town.example', 'Urgent', 'Now.', '{g1@p80.test}', priority => 10)`)
	s.Start("run")
	s.Until(`SELECT count(*) = 2 FROM enotify.batch WHERE id IN ($1, $2) AND state = 'done'`, batch, next)
	if got, want := s.States(batch), "bounced 3, delivered 300"; got != want {
		t.Errorf("the campaign: got %s, want %s", got, want)
	}
	if got, want := s.States(next), "delivered 1"; got != want {
		t.Errorf("the next batch: got %s, want %s", got, want)
	}
	if got := ask[int](s, `SELECT count(*)::int FROM enotify.auth_refusal`); got != 0 {
		t.Errorf("refusals counted against the client: got %d, want 0", got)
	}
	if got := ask[int](s, `SELECT count(*)::int FROM enotify.suppression`); got != 0 {
		t.Errorf("suppressions: got %d, want 0", got)
	}
}
