package submit_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"enotify/cmd/enotify/submit"
	"enotify/queue"
	"enotify/queue/queuetest"
)

func TestMain(m *testing.M) { queuetest.Main(m) }

// A door is a listener on loopback, whose login runs nodes and may enqueue.
type door struct {
	*queuetest.Fixture
	url   string // of the listener
	login string // tied to town.example
	token string // of that login
}

func newDoor(t *testing.T) *door {
	t.Helper()
	return newDoorBy(t, func(database string) string { return database })
}

// newDoorBy is a door that reaches its database by another way.
func newDoorBy(t *testing.T, way func(database string) string) *door {
	t.Helper()
	f := queuetest.NewFixture(t)
	f.Exec(`INSERT INTO enotify.client (domain) VALUES ('city.example')`)
	f.Exec(`INSERT INTO enotify.client_login SELECT id, 'somebody_else' FROM enotify.client WHERE domain = 'city.example'`)
	d := &door{Fixture: f, login: queuetest.Connect(t, queuetest.Login(t, f.URL, "enotify_app")).Config().User}
	f.Exec(`INSERT INTO enotify.client_login SELECT id, $1 FROM enotify.client WHERE domain = 'town.example'`, d.login)
	d.token = d.addToken(d.login)
	l, err := submit.Listen("127.0.0.1:0", "", "")
	if err != nil {
		t.Fatal(err)
	}
	d.url = "http://" + l.Addr().String()
	db := queuetest.Open(t, way(queuetest.Login(t, f.URL, "enotify_sender", "enotify_app")))
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- (&submit.Door{DB: db, Dir: t.TempDir()}).Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return d
}

func (d *door) addToken(login string) (token string) {
	d.Helper()
	token = "enotify_" + login
	_, check := queue.TokenKeyOf(token)
	if _, err := d.DB.AddToken(d.Context(), login, "test", check); err != nil {
		d.Fatal(err)
	}
	return token
}

// call sends a request, and returns the status and the answer.
func (d *door) call(method, path, key, kind, body string) (int, string) {
	d.Helper()
	return d.callAs(d.token, method, path, key, kind, strings.NewReader(body))
}

func (d *door) callAs(token, method, path, key, kind string, body io.Reader) (int, string) {
	d.Helper()
	q, err := http.NewRequestWithContext(d.Context(), method, d.url+path, body)
	if err != nil {
		d.Fatal(err)
	}
	for name, value := range map[string]string{"Authorization": "Bearer " + token, "Idempotency-Key": key,
		"Content-Type": kind} {
		if value != "" {
			q.Header.Set(name, value)
		}
	}
	r, err := http.DefaultClient.Do(q)
	if err != nil {
		d.Errorf("%s %s: %v", method, path, err)
		return 0, ""
	}
	defer r.Body.Close()
	answer, _ := io.ReadAll(r.Body)
	return r.StatusCode, string(answer)
}

const batch = `"from_address": "info@town.example", "subject": "Lunch menu", "body_text": "Dear {{.name}}, soup.", "headers": {"X-Campaign": "May"}`

// A batch comes as JSON with its fields in any order, as lines, or as CSV, and becomes
// what the SQL functions make of it; the same key again adds nothing.
func TestEachFormMakesTheBatch(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	rows := []string{`{"address": "ann@a.example", "data": {"name": "Ann"}}`,
		`{"address": "bob@b.example", "data": {"name": "Bob"}}`, `{"address": "nowhere"}`}
	list := "[" + strings.Join(rows, ",") + "]"
	csv := "address,name\nann@a.example,Ann\nbob@b.example,Bob\nnowhere,\n"
	for _, tt := range []struct{ key, path, kind, body string }{
		{"json", "/v1/batches", "application/json", `{` + batch + `, "recipients": ` + list + `}`},
		{"recipients first", "/v1/batches", "application/json; charset=utf-8", `{"recipients": ` + list + `, ` + batch +
			`}`},
		{"lines", "/v1/batches", "application/x-ndjson", "{" + batch + "}\n" + strings.Join(rows, "\n") + "\n"},
		{"csv", "/v1/batches?from_address=info@town.example&subject=Lunch+menu&body_text=Dear+%7B%7B.name%7D%7D,+soup.&priority=3", "text/csv", csv},
	} {
		status, answer := d.call("POST", tt.path, tt.key, tt.kind, tt.body)
		var s queue.Status
		if err := json.Unmarshal([]byte(answer), &s); status != http.StatusCreated || err != nil ||
			s.State != "queued" || s.Total != 3 || s.Invalid != 1 || s.IdemKey != tt.key || s.CreatedBy != d.login {
			t.Errorf("%s: got %d %s; want 201 and a queued batch of three, one of them invalid", tt.key, status, answer)
		}
		if got := queuetest.Query[string](d.Fixture,
			`SELECT data ->> 'name' FROM enotify.recipient WHERE batch_id = $1 AND address = 'bob@b.example'`,
			s.ID); got != "Bob" {
			t.Errorf("%s: data: got %q, want Bob", tt.key, got)
		}
		if status, again := d.call("POST", tt.path, tt.key, tt.kind, tt.body); status != http.StatusOK ||
			!strings.Contains(again, fmt.Sprintf(`"id":%d,`, s.ID)) {
			t.Errorf("%s again: got %d %s; want 200 and batch %d", tt.key, status, again, s.ID)
		}
		if status, shown := d.call("GET", fmt.Sprintf("/v1/batches/%d", s.ID), "", "", ""); status != http.StatusOK ||
			!strings.Contains(shown, `"pending":2`) {
			t.Errorf("GET batch %d: got %d %s; want 200 and two pending", s.ID, status, shown)
		}
	}
	if got := queuetest.Query[string](d.Fixture,
		`SELECT string_agg(DISTINCT by::text, ' ') FROM enotify.batch_log`); got != d.login {
		t.Errorf("who made the batches: got %q, want the token's login %q", got, d.login)
	}

	// in steps
	_, answer := d.call("POST", "/v1/batches", "steps", "application/json", `{`+batch+`}`)
	var s queue.Status
	if err := json.Unmarshal([]byte(answer), &s); err != nil || s.State != "draft" {
		t.Fatalf("without recipients: got %s, want a draft", answer)
	}
	of := fmt.Sprintf("/v1/batches/%d", s.ID)
	for _, step := range []struct{ path, kind, body, want string }{
		{"/recipients", "text/csv", csv, `{"staged":3}`},
		{"/recipients", "application/json", list, `{"staged":3}`},
		{"/recipients", "application/x-ndjson", rows[0], `{"staged":1}`},
		{"/submit?expected=8", "", "", "7 staged recipients, expected 8"},
		{"/submit?expected=7", "", "", `"total":3`},
		{"/recipients", "text/csv", csv, "is submitted"},
	} {
		if status, answer := d.call("POST", of+step.path, "", step.kind, step.body); !strings.Contains(answer,
			step.want) {
			t.Errorf("%s: got %d %s, want %s", step.path, status, answer, step.want)
		}
	}
}

// What is wrong is said in one sentence, with the status that fits, and nothing of it
// stays.
func TestFaultsAreSaid(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	foreign := queuetest.Query[int64](d.Fixture,
		`SELECT enotify.enqueue('foreign', 'info@city.example', 'Secret', 's', '{a@a.example}')`)
	const js = "application/json"
	for _, tt := range []struct {
		method, path, key, kind, body string
		status                        int
		want                          string
	}{
		{"POST", "/v1/batches", "", js, `{` + batch + `}`, 400, "Idempotency-Key"},
		{"POST", "/v1/batches", "k", "text/plain", `{}`, 415, "Content-Type"},
		{"POST", "/v1/batches", "k", js, `{` + batch + `, "recipients": [{"address": "a@a.example"}`, 400,
			"ends too early"},
		{"POST", "/v1/batches", "k", js, `{` + batch + `, "recipients": [{"address": "a@a.example"}, {"address": 1}]}`,
			400, "recipient 2"},
		{"POST", "/v1/batches", "k", js, `{` + batch +
			`, "recipients": [{"address": "a@a.example", "data": {"x": "\u0000"}}]}`, 400, "holds a NUL"},
		{"POST", "/v1/batches", "k", js, `{` + batch + `, "recipients": [], "recipients": []}`, 400, "comes twice"},
		{"POST", "/v1/batches", "k", js, `{` + batch + `} {}`, 400, "after the end"},
		{"POST", "/v1/batches", "k", js, `{` + batch + `, "idem_key": "x"}`, 400, "idem_key"},
		{"POST", "/v1/batches", "k", js, `{` + batch + `, "priority": 11, "recipients": [{"address": "a@a.example"}]}`,
			403, "max-priority"},
		{"POST", "/v1/batches", "k", js, strings.ReplaceAll(`{`+batch+`}`, "town.example", "city.example"), 403,
			"city.example"},
		{"POST", "/v1/batches", "k", js, strings.ReplaceAll(`{`+batch+`}`, "{{.name}}", "{{.name"), 422, "text"},
		{"POST", "/v1/batches", "k", js, `{` + batch + `, "recipients": []}`, 422, "is empty"},
		{"POST", "/v1/batches", "k", js, `{` + batch + `, "list_unsubscribe": "javascript:x"}`, 422,
			"list-unsubscribe"},
		{"POST", "/v1/batches", "k", js, `{"body_text": "` + strings.Repeat("x", 13<<20) + `"}`, 413, "larger"},
		{"POST", "/v1/batches", "k", js, `{` + batch + `, "recipients": [{"address": "a@a.example", "data": {"x": "` +
			strings.Repeat("x", 2<<20) + `"}}]}`, 413, "larger"},
		{"POST", "/v1/batches?subject=s", "k", "text/csv", "name\nAnn\n", 400, "address"},
		{"POST", "/v1/batches?subject=s&attachments=x", "k", "text/csv", "address\na@a.example\n", 400, "attachments: only in"},
		{"POST", "/v1/batches", "k", js, `{` + batch + `, "recipients": [{"address": "a@a.example", "name": "Ann"}]}`, 400, "recipient 1: "},
		{"POST", "/v1/batches", "k", js, `{` + batch + `, "attachments": [{"filename": "a", "content": "?"}]}`, 400, "attachment 1: "},
		{"POST", "/v1/batches", "k", js, `{` + batch + `, "attachments": [{"filename": "a/b", "content": "aGk="}]}`, 422, "slash"},
		{"POST", "/v1/batches", "k", js, `{` + batch + `, "attachments": [], "attachments": []}`, 400, "comes twice"},
		{"POST", "/v1/batches", "k", js, `{` + batch + `, "attachments": [{"filename": "a", "content": "` +
			strings.Repeat("aGlo", 10<<20) + `"}]}`, 413, "attachments"},
		{"POST", "/v1/batches", "k", js, `{` + batch + `, "pool": "nowhere"}`, 422, "nowhere"},
		{"POST", "/v1/batches", "k", js, `{` + batch + `, "send_window": "at night"}`, 422, "at night"},
		{"POST", "/v1/batches", "k", "application/x-ndjson", `{` + batch + `, "recipients": []}`, 400, "recipients"},
		{"GET", fmt.Sprintf("/v1/batches/%d", foreign), "", "", "", 404, "not found"},
		{"POST", fmt.Sprintf("/v1/batches/%d/recipients", foreign), "", "text/csv", "address\na@a.example\n", 404,
			fmt.Sprintf("no batch %d of yours", foreign)},
		{"POST", fmt.Sprintf("/v1/batches/%d/submit", foreign), "", "", "", 404, "not found"},
		{"GET", "/v1/batches/x", "", "", "", 404, "no batch x"},
		{"DELETE", "/v1/batches/1", "", "", "", 405, ""},
	} {
		if status, answer := d.call(tt.method, tt.path, tt.key, tt.kind, tt.body); status != tt.status ||
			!strings.Contains(answer, tt.want) || strings.Contains(answer, "SQLSTATE") ||
			strings.Contains(answer, "Secret") {
			t.Errorf("%s %s %.200s: got %d %s; want %d with %q", tt.method, tt.path, tt.body, status, answer, tt.status,
				tt.want)
		}
	}
	if got := queuetest.Query[string](d.Fixture,
		`SELECT count(*) || ' ' || (SELECT count(*) FROM enotify.recipient_in) FROM enotify.batch`); got != "1 0" {
		t.Errorf("batches and staged rows: got %q, want the foreign batch and no row", got)
	}
}

// A token opens what its login may do, until it is retired; no key makes a session
// more than it is.
func TestTokensOpenNoMore(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	for _, token := range []string{"", "wrong", d.token + "x"} {
		if status, _ := d.callAs(token, "GET", "/v1/batches/1", "", "", nil); status != http.StatusUnauthorized {
			t.Errorf("token %q: got %d, want 401", token, status)
		}
	}
	operator := queuetest.Connect(t, queuetest.Login(t, d.URL, "enotify_app", "enotify_admin")).Config().User
	_, check := queue.TokenKeyOf("operator")
	if _, err := d.DB.AddToken(t.Context(), operator, "", check); err == nil ||
		!strings.Contains(err.Error(), "operator's") {
		t.Errorf("a token of an operator: got %v, want a refusal", err)
	}
	// one that became an operator later acts for nobody
	late := queuetest.Connect(t, queuetest.Login(t, d.URL, "enotify_app")).Config().User
	promoted := d.addToken(late)
	d.Exec(`GRANT enotify_admin TO ` + late)

	key, _ := queue.TokenKeyOf(d.token)
	stranger := queuetest.Connect(t, queuetest.Login(t, d.URL, "enotify_app"))
	for set, want := range map[string]string{"": stranger.Config().User, key: d.login} {
		var got string
		err := stranger.QueryRow(t.Context(), `SELECT enotify.my_login() FROM set_config('enotify.token', $1, false)`,
			set).Scan(&got)
		if err != nil || got != want {
			t.Errorf("my_login with the key %q: got %q, %v; want %q", set, got, err, want)
		}
	}
	for _, no := range []string{"x", d.token,
		queuetest.Query[string](d.Fixture, `SELECT encode(hash, 'hex') FROM enotify.token LIMIT 1`)} {
		if _, err := stranger.Exec(t.Context(),
			`SELECT enotify.my_clients() FROM set_config('enotify.token', $1, false)`, no); err == nil ||
			!strings.Contains(err.Error(), "token is not known") {
			t.Errorf("my_clients with the key %q: got %v, want a refusal", no, err)
		}
	}
	if _, err := stranger.Exec(t.Context(), `SELECT hash FROM enotify.token`); err == nil {
		t.Error("an application reads hashes of tokens")
	}

	if status, answer := d.callAs(promoted, "GET", "/v1/batches/999", "", "", nil); status != http.StatusUnauthorized {
		t.Errorf("a token whose login became an operator: got %d %s, want 401", status, answer)
	}
	if err := d.DB.RetireToken(t.Context(),
		queuetest.Query[int32](d.Fixture, `SELECT id FROM enotify.token WHERE login = $1`, d.login)); err != nil {
		t.Fatal(err)
	}
	if status, answer := d.call("POST", "/v1/batches", "late", "application/json", `{`+batch+
		`}`); status != http.StatusUnauthorized {
		t.Errorf("a token retired just now: got %d %s, want 401", status, answer)
	}
}

// Requests that never end, and a token's flood, delay no other token.
func TestFloodsAndSlowClientsDelayNobodyElse(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	flood := d.addToken(queuetest.Connect(t, queuetest.Login(t, d.URL, "enotify_app")).Config().User)
	var sending sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	defer sending.Wait()
	defer cancel()
	for range 8 { // bodies that do not go on
		conn, err := net.Dial("tcp", strings.TrimPrefix(d.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprintf(conn, "POST /v1/batches HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nIdempotency-Key: slow\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{", flood)
	}
	refused := make(chan struct{})
	var once sync.Once
	for range 8 {
		sending.Go(func() {
			for ctx.Err() == nil {
				if status, _ := d.callAs(flood, "GET", "/v1/batches/1", "", "",
					nil); status == http.StatusTooManyRequests {
					once.Do(func() { close(refused) })
				}
			}
		})
	}
	select {
	case <-refused:
	case <-time.After(30 * time.Second):
		t.Fatal("a token's flood: got no 429 in 30 s")
	}
	if got := queuetest.Query[int](d.Fixture,
		`SELECT count(*)::int FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in transaction%' AND state_change < now() - interval '300 ms'`); got > 0 {
		t.Errorf("transactions that wait for a slow client: got %d, want none", got)
	}
	for i := range 5 {
		if status, answer := d.call("POST", "/v1/batches", fmt.Sprint("quick ", i), "application/json", `{`+batch+
			`, "recipients": [{"address": "a@a.example"}]}`); status != http.StatusCreated {
			t.Errorf("another token: got %d %s, want 201", status, answer)
		}
	}
}

// openapi.json has the paths, statuses and fields that the code has.
func TestOpenAPI(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer((&submit.Door{}).Handler())
	defer server.Close()
	r, err := http.Get(server.URL + "/v1/openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	type schema struct{ Properties map[string]any }
	var api struct {
		Paths      map[string]map[string]json.RawMessage
		Components struct{ Schemas map[string]schema }
	}
	if err := json.NewDecoder(r.Body).Decode(&api); err != nil {
		t.Fatal(err)
	}
	var got []string
	for path, methods := range api.Paths {
		for method := range methods {
			if method == "parameters" {
				continue
			}
			got = append(got, method+" "+path)
			q, _ := http.NewRequest(strings.ToUpper(method), server.URL+strings.ReplaceAll(path, "{id}", "1"), nil)
			r, err := http.DefaultClient.Do(q)
			if err != nil {
				t.Fatal(err)
			}
			r.Body.Close()
			if r.StatusCode == http.StatusNotFound || r.StatusCode == http.StatusMethodNotAllowed {
				t.Errorf("%s %s: got %d, want a handler", method, path, r.StatusCode)
			}
		}
	}
	slices.Sort(got)
	want := []string{"get /v1/batches/{id}", "get /v1/openapi.json", "post /v1/batches",
		"post /v1/batches/{id}/recipients", "post /v1/batches/{id}/submit"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("paths (-want +got):\n%s", diff)
	}
	for name, of := range map[string]any{"Batch": submit.BatchFields{}, "Status": queue.Status{},
		"Problem": submit.Problem{}, "Attachment": submit.Attachment{}} {
		var fields, described []string
		for typ, i := reflect.TypeOf(of), 0; i < typ.NumField(); i++ {
			fields = append(fields, typ.Field(i).Tag.Get("json"))
		}
		for field := range api.Components.Schemas[name].Properties {
			described = append(described, field)
		}
		slices.Sort(fields)
		slices.Sort(described)
		if diff := cmp.Diff(fields, described); diff != "" {
			t.Errorf("fields of %s (-code +openapi.json):\n%s", name, diff)
		}
	}
	// what create_batch takes, and nothing else but what other functions of applications do
	takes := queuetest.Query[[]string](queuetest.NewFixture(t),
		`SELECT proargnames FROM pg_proc WHERE oid = 'enotify.create_batch'::regproc`)
	fields := []string{"idem_key"} // the header Idempotency-Key
	for field := range api.Components.Schemas["Batch"].Properties {
		if !slices.Contains([]string{"draft", "ready", "attachments"}, field) {
			fields = append(fields, field)
		}
	}
	slices.Sort(takes)
	slices.Sort(fields)
	if diff := cmp.Diff(takes, fields); diff != "" {
		t.Errorf("arguments of create_batch (-SQL +openapi.json):\n%s", diff)
	}
}

// All that SQL can say of a batch can be said over HTTP too; a second request with the
// key changes nothing, whatever became of the batch.
func TestABatchWithAllThatItCanHave(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	d.Exec(`INSERT INTO enotify.pool (name, kind) VALUES ('letters', 'shared')`)
	const more = `, "lang": "de", "pool": "letters", "send_window": "Mon-Fri 08:00-20:00 Europe/Berlin",
		"attachments": [{"filename": "agenda.pdf", "content": "JVBERg==", "content_type": "application/pdf"}, {"filename": "logo.png", "content": "iVBORw==", "content_id": "logo"}]`
	const list = `[{"address": "ann@a.example", "data": {"name": "Ann"}}]`
	said := func(id int64) string {
		return queuetest.Query[string](d.Fixture, `
			SELECT concat_ws(' ', b.state, b.lang, b.pool, b.send_window, EXISTS (SELECT FROM enotify.ready_draft r WHERE r.batch_id = b.id),
			       (SELECT string_agg(concat_ws(' ', a.filename, a.content_type, a.content_id, encode(a.content, 'escape')), ' ' ORDER BY a.n) FROM enotify.attachment a WHERE a.batch_id = b.id))
			FROM enotify.batch b WHERE b.id = $1`, id)
	}
	const files = "agenda.pdf application/pdf  %PDF logo.png  logo \\211PNG"
	const kept = "de letters Mon-Fri 08:00-20:00 Europe/Berlin"
	for _, tt := range []struct{ key, kind, body, want string }{
		{"json", "application/json", `{` + batch + more + `, "recipients": ` + list + `}`, "queued " + kept + " f " + files},
		{"lines", "application/x-ndjson",
			"{" + batch + strings.ReplaceAll(more, "\n", "") + "}\n" + strings.Trim(list, "[]") + "\n",
			"queued " + kept + " f " + files},
		{"alarm", "application/json", `{"recipients": ` + list + `, "ready": true, ` + batch + more + `}`, "draft " + kept + " t " + files},
	} {
		status, answer := d.call("POST", "/v1/batches", tt.key, tt.kind, tt.body)
		var s queue.Status
		if err := json.Unmarshal([]byte(answer), &s); err != nil || status != http.StatusCreated {
			t.Fatalf("%s: got %d %s, want 201", tt.key, status, answer)
		}
		if got := said(s.ID); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.key, got, tt.want)
		}
		if tt.key == "alarm" {
			d.call("POST", fmt.Sprintf("/v1/batches/%d/submit?expected=1", s.ID), "", "", "")
			tt.want = "queued " + kept + " f " + files
		}
		if status, answer := d.call("POST", "/v1/batches", tt.key, tt.kind, tt.body); status != http.StatusOK {
			t.Errorf("%s again: got %d %s, want 200", tt.key, status, answer)
		}
		if got := said(s.ID); got != tt.want {
			t.Errorf("%s again: got %q, want %q", tt.key, got, tt.want)
		}
	}
}
