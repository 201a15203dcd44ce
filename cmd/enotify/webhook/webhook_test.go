package webhook_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"enotify/cmd/enotify/webhook"
	"enotify/queue"
	"enotify/queue/events"
	"enotify/queue/queuetest"
)

func TestMain(m *testing.M) { queuetest.Main(m) }

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

// A receiver is an HTTPS server that checks signatures and keeps what it gets.
type receiver struct {
	*httptest.Server
	secret string
	answer func(n int) int // status for the n-th message, from 1; nil: 204

	mu     sync.Mutex
	ids    []string // webhook-id of each message
	events []events.Event
	wrong  []string
	came   chan struct{}
}

func newReceiver(t *testing.T, answer func(n int) int) *receiver {
	t.Helper()
	r := &receiver{answer: answer, came: make(chan struct{}, 1000)}
	r.Server = httptest.NewTLSServer(http.HandlerFunc(r.serve))
	t.Cleanup(r.Close)
	return r
}

// serve checks the signature as the specification says a receiver does.
func (r *receiver) serve(w http.ResponseWriter, q *http.Request) {
	body, _ := io.ReadAll(q.Body)
	r.mu.Lock()
	defer r.mu.Unlock()
	key, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(r.secret, "whsec_"))
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(q.Header.Get("webhook-id") + "." + q.Header.Get("webhook-timestamp") + "." + string(body)))
	if got, want := q.Header.Get("webhook-signature"), "v1,"+
		base64.StdEncoding.EncodeToString(mac.Sum(nil)); got != want {
		r.wrong = append(r.wrong, fmt.Sprintf("signature %s, want %s", got, want))
	}
	if sent, err := strconv.ParseInt(q.Header.Get("webhook-timestamp"), 10, 64); err != nil ||
		time.Since(time.Unix(sent, 0)).Abs() > time.Minute {
		r.wrong = append(r.wrong, "webhook-timestamp "+q.Header.Get("webhook-timestamp"))
	}
	var message struct {
		Data struct{ Events []events.Event }
	}
	if err := json.Unmarshal(body, &message); err != nil {
		r.wrong = append(r.wrong, err.Error())
	}
	r.ids = append(r.ids, q.Header.Get("webhook-id"))
	status := http.StatusNoContent
	if r.answer != nil {
		status = r.answer(len(r.ids))
	}
	if status == http.StatusNoContent {
		r.events = append(r.events, message.Data.Events...)
	}
	if status == http.StatusFound {
		w.Header().Set("Location", r.URL+"/elsewhere")
	}
	w.WriteHeader(status)
	r.came <- struct{}{}
}

// got is what was acknowledged: kind and key of each event.
func (r *receiver) got(t *testing.T) (keys, ids []string) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, w := range r.wrong {
		t.Errorf("the receiver found wrong: %s", w)
	}
	for _, e := range r.events {
		key := ""
		if e.Key != nil {
			key = " " + *e.Key
		}
		keys = append(keys, e.Kind+key)
	}
	return keys, slices.Clone(r.ids)
}

// hook adds a webhook of town.example that leads to the receiver.
func hook(t *testing.T, f *queuetest.Fixture, r *receiver, url string, kinds ...string) int32 {
	t.Helper()
	return hookOf(t, f, "town.example", r, url, kinds...)
}

func hookOf(t *testing.T, f *queuetest.Fixture, client string, r *receiver, url string, kinds ...string) int32 {
	t.Helper()
	secret, shown := webhook.NewSecret()
	r.secret = shown
	id, err := events.Of(f.DB).AddWebhook(t.Context(), events.Webhook{URL: url, Client: client, Kinds: kinds}, secret)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// runner pushes over the connections of db, to receivers on loopback.
func runner(db *queue.DB, of ...*receiver) *webhook.Runner {
	roots := x509.NewCertPool()
	for _, r := range of {
		roots.AddCert(r.Certificate())
	}
	return &webhook.Runner{DB: db, Name: "n1", Allow: loopback, Roots: roots,
		Wait: func(int) time.Duration { return time.Millisecond }}
}

// pushUntil runs a runner until the query says true. Where it does not within half a
// minute, the test ends with what the webhooks are like.
func pushUntil(f *queuetest.Fixture, r *webhook.Runner, sql string, args ...any) {
	f.Helper()
	f.Patience = 30 * time.Second
	ctx, cancel := context.WithCancel(f.Context())
	var running sync.WaitGroup
	running.Go(func() { r.Run(ctx) })
	f.Until(func() { cancel() }, sql, args...)
	running.Wait()
	if f.Failed() {
		f.Fatalf("webhooks: got %s", queuetest.Query[string](f, `SELECT string_agg(format('%s: %s failures (%s), disabled %s, up to %s of %s',
			id, failures, failure, disabled_at, after, enotify.last_event()), '; ' ORDER BY id) FROM enotify.webhook`))
	}
}

const acknowledged = `SELECT after >= enotify.last_event() AND failures = 0 AND NOT EXISTS (SELECT FROM enotify.event WHERE first IS NULL) FROM enotify.webhook WHERE id = $1`

// Events arrive in order, signed, once each where nothing fails; what failed is sent
// again under the same id; and a replay sends again from where it was asked to.
func TestEventsArriveInOrder(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	r := newReceiver(t, func(n int) int { return []int{500, 302, 204}[min(n, 3)-1] })
	id := hook(t, f, r, r.URL+"/hook?token=of+theirs", "batch", "delivered")
	for i := range 3 {
		f.Enqueue(fmt.Sprint("menu ", i), 1, "a.example")
	}
	push := runner(f.DB, r)
	pushUntil(f, push, acknowledged, id)
	keys, ids := r.got(t)
	// draft, queued
	want := []string{"batch menu 0", "batch menu 0", "batch menu 1", "batch menu 1", "batch menu 2", "batch menu 2"}
	if diff := cmp.Diff(want, keys); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	if len(ids) != 3 || ids[0] != ids[1] || ids[1] != ids[2] {
		t.Errorf("ids of a message that failed twice, one of the failures a redirect: got %v, want three times the same", ids)
	}

	from := queuetest.Query[int64](f, `SELECT id FROM enotify.events() WHERE idem_key = 'menu 2' ORDER BY id LIMIT 1`)
	if _, err := events.Of(f.DB).ReplayWebhook(t.Context(), id, from); err != nil {
		t.Fatal(err)
	}
	pushUntil(f, push, acknowledged, id)
	keys, ids = r.got(t)
	if diff := cmp.Diff(append(want, want[4:]...), keys); diff != "" {
		t.Errorf("events after a replay (-want +got):\n%s", diff)
	}
	if slices.Contains(ids[:3], ids[3]) {
		t.Errorf("id of the replayed message: got %s, want one that the receiver does not know", ids[3])
	}

	test, err := events.Of(f.DB).TestWebhook(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	pushUntil(f, push, acknowledged, id)
	if done, _, _, err := events.Of(f.DB).Tested(t.Context(), id, test); err != nil || !done {
		t.Errorf("test event: got %v, %v; want it acknowledged", done, err)
	}
	if keys, _ = r.got(t); keys[len(keys)-1] != "test" {
		t.Errorf("last event: got %q, want the test", keys[len(keys)-1])
	}
}

func enable(f *queuetest.Fixture, id int32) {
	f.Helper()
	if gone, err := events.Of(f.DB).EnableWebhook(f.Context(), id); err != nil || gone > 0 {
		f.Fatalf("enable: got events up to %d dropped, %v; want none", gone, err)
	}
}

// A receiver that fails for long, or says that it is gone, is disabled, with one
// alert; enabled again, it gets what it missed.
func TestDisabledWithAnAlert(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	gone := true
	r := newReceiver(t, func(n int) int {
		if n <= 3 {
			return 503
		}
		if gone {
			return http.StatusGone
		}
		return 204
	})
	id := hook(t, f, r, r.URL)
	f.Enqueue("menu", 1, "a.example")
	push := runner(f.DB, r)
	push.Patience = time.Nanosecond // the second failure comes later
	const disabled = `SELECT disabled_at IS NOT NULL FROM enotify.webhook WHERE id = $1`
	pushUntil(f, push, disabled, id)
	const alerts = `SELECT count(*)::int FROM enotify.alert WHERE kind = 'webhook_disabled' AND client = 'town.example' AND text LIKE '%503%' AND next = 'enotify webhook enable 1'`
	if got := queuetest.Query[int](f, alerts); got != 1 {
		t.Errorf("alerts: got %d, want 1", got)
	}
	push.Patience = time.Hour
	enable(f, id)
	pushUntil(f, push, disabled, id) // by 410, at once
	r.mu.Lock()
	gone = false
	r.mu.Unlock()
	enable(f, id)
	pushUntil(f, push, acknowledged, id)
	if keys, _ := r.got(t); len(keys) < 2 || keys[0] != "batch menu" || keys[1] != "batch menu" {
		t.Errorf("events once enabled: got %v, want those that it missed", keys)
	}
}

// No connection leads into our own network, whatever the name of the receiver says,
// unless it is allowed; and nothing goes unencrypted to the internet.
func TestPrivateAddressesAreNotReached(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	r := newReceiver(t, nil)
	ids := []int32{
		hook(t, f, r, r.URL),
		hook(t, f, r, "https://localhost:"+r.URL[strings.LastIndexByte(r.URL, ':')+1:]),
		hook(t, f, r, "http://192.0.2.1/"),
		hook(t, f, r, "https://[::ffff:169.254.169.254]/latest/meta-data"),
	}
	f.Enqueue("menu", 1, "a.example")
	push := runner(f.DB, r)
	push.Allow, push.Wait = nil, func(int) time.Duration { return time.Hour }
	pushUntil(f, push, `SELECT bool_and(failures = 1) FROM enotify.webhook`)
	for i, want := range []string{"--allow-webhook 127.0.0.1", "--allow-webhook", "not be encrypted",
		"169.254.169.254 is"} {
		if w, err := events.Of(f.DB).Webhook(t.Context(), ids[i]); err != nil || !strings.Contains(w.Failure, want) {
			t.Errorf("%s: got failure %q, %v; want one with %q", w.URL, w.Failure, err, want)
		}
	}
	if _, got := r.got(t); len(got) > 0 {
		t.Errorf("messages: got %v, want none", got)
	}
}

// Receivers that do not answer delay no other, however many they are: none that has answered before, and not the first
// one of another client.
func TestSlowReceiversDelayNoOther(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	release := make(chan struct{})
	asked := make(chan struct{}, 1000)
	hanging := httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, q *http.Request) {
		asked <- struct{}{}
		select {
		case <-release:
		case <-q.Context().Done():
		}
	}))
	defer hanging.Close()
	answer := sync.OnceFunc(func() { close(release) })
	defer answer()
	bad, good, first := &receiver{Server: hanging}, newReceiver(t, nil), newReceiver(t, nil)
	for range 300 {
		hook(t, f, bad, hanging.URL)
	}
	id := hook(t, f, good, good.URL)
	// It has answered before, and has nothing to get until the others have all that they may.
	f.Exec(`UPDATE enotify.webhook SET slow = false, due_at = 'infinity' WHERE id = $1`, id)
	f.Enqueue("menu", 1, "a.example")
	push := runner(f.DB, bad, good, first)
	push.Timeout = time.Minute
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	running := make(chan struct{})
	go func() { defer close(running); push.Run(ctx) }()
	for range 16 {
		<-asked
	}
	f.Exec(`INSERT INTO enotify.client (domain) VALUES ('city.example')`)
	hookOf(t, f, "city.example", first, first.URL)
	f.Exec(`SELECT enotify.enqueue('first', 'info@city.example', 'S', 'x', '{ann@a.example}')`)
	push.Wake()
	select {
	case <-first.came:
	case <-time.After(30 * time.Second):
		t.Fatal("the first webhook of another client: not pushed within 30 s beside receivers that do not answer")
	}
	f.Exec(`UPDATE enotify.webhook SET due_at = now() WHERE id = $1`, id)
	for i := range 4 {
		push.Wake()
		select {
		case <-good.came:
		case <-time.After(30 * time.Second):
			t.Fatalf("message %d: not pushed within 30 s beside receivers that do not answer", i+1)
		}
		f.Enqueue(fmt.Sprint("next ", i), 1, "a.example")
	}
	if n := len(asked); n > 0 {
		t.Errorf("receivers that do not answer: got %d more of the 64 places, want 16 in all", n)
	}
	cancel()
	answer()
	<-running
}

// A receiver that says when to come again is left alone until then, but for no more than
// an hour.
func TestRetryAfter(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	for asks, want := range map[string]string{"600": "00:10:00", "86400": "01:00:00"} {
		busy := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", asks)
			w.WriteHeader(http.StatusServiceUnavailable)
		}))
		defer busy.Close()
		r := &receiver{Server: busy}
		id := hook(t, f, r, busy.URL)
		f.Enqueue("menu "+asks, 1, "a.example")
		pushUntil(f, runner(f.DB, r), `SELECT failures = 1 FROM enotify.webhook WHERE id = $1`, id)
		if !queuetest.Query[bool](f, `SELECT due_at BETWEEN now() + $2::interval - interval '5 minutes'
			AND now() + $2::interval FROM enotify.webhook WHERE id = $1`, id, want) {
			t.Errorf("after Retry-After: %s: got due at %s, want in %s", asks,
				queuetest.Query[string](f, `SELECT due_at::text FROM enotify.webhook WHERE id = $1`, id), want)
		}
	}
}

// A node that dies, before or after the receiver has acknowledged, leaves its message
// to another node: nothing is lost, and the ids say what is known.
func TestAnotherNodeGoesOn(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	r := newReceiver(t, nil)
	id := hook(t, f, r, r.URL)
	f.Enqueue("menu", 1, "a.example")
	if _, err := events.Of(f.DB).Number(t.Context()); err != nil {
		t.Fatal(err)
	}
	claims, err := events.Of(f.DB).Claim(t.Context(), "dead", 300*time.Millisecond, 10, 10, 10)
	if err != nil || len(claims) != 1 {
		t.Fatalf("claims: got %v, %v; want one", claims, err)
	}
	if again, err := events.Of(f.DB).Claim(t.Context(), "n2", time.Second, 10, 10, 10); err != nil || len(again) > 0 {
		t.Fatalf("claims of another node: got %v, %v; want none", again, err)
	}
	pushUntil(f, runner(f.DB, r), acknowledged, id)
	if keys, _ := r.got(t); !cmp.Equal(keys, []string{"batch menu", "batch menu"}) {
		t.Errorf("events: got %v, want the two of the batch", keys)
	}
	before := queuetest.Query[int64](f, `SELECT after FROM enotify.webhook`)
	if err := events.Of(f.DB).Acknowledge(t.Context(), claims[0], 1, 1, false); err != nil {
		t.Fatal(err)
	}
	if got := queuetest.Query[int64](f, `SELECT after FROM enotify.webhook`); got != before {
		t.Errorf("what a node writes that lost its claim: got event %d, want %d to stay", got, before)
	}
}

func TestBackoff(t *testing.T) {
	t.Parallel()
	for failures, want := range map[int]time.Duration{1: 5 * time.Second, 2: 15 * time.Second, 5: 405 * time.Second,
		9: 6 * time.Hour, 1000: 6 * time.Hour} {
		if got := webhook.Backoff(failures, 0.5); got != want {
			t.Errorf("after %d failures: got %s, want %s", failures, got, want)
		}
	}
}
