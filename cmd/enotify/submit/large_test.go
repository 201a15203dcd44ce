package submit_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"enotify/queue"
	"enotify/queue/queuetest"
)

// large is how many recipients make a body whose transaction begins before its end.
const large = 8000

func manyObjects(separator string) string {
	var list strings.Builder
	for i := range large {
		if i > 0 {
			list.WriteString(separator)
		}
		fmt.Fprintf(&list, `{"address": "user%d@d%d.example", "data": {"name": "Ann %d"}}`, i, i%100, i)
	}
	return list.String()
}

// The transaction of a large body begins before all of it is there. What comes later
// still counts: other fields, a broken row, a long pause.
func TestLargeBodies(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	list := "[" + manyObjects(",") + "]"
	lines := manyObjects("\n")
	csv := strings.Builder{}
	csv.WriteString("address,name\n")
	for i := range large {
		fmt.Fprintf(&csv, "user%d@d%d.example,\"Ann %d, of a long name, so that it is a large one\"\n", i, i%100, i)
	}
	const js, nd = "application/json", "application/x-ndjson"
	const inQuery = "/v1/batches?from_address=info@town.example&subject=Lunch+menu&body_text=Soup.&draft=true"
	const asDraft = `"draft": true, ` + batch
	for _, tt := range []struct {
		key, path, kind, body string
		status                int
		want                  string
	}{
		{"fields before", "/v1/batches", js, `{` + asDraft + `, "recipients": ` + list + `}`, 201, `"state":"draft"`},
		{"fields before and after", "/v1/batches", js, `{` + batch + `, "recipients": ` + list + `, "draft": true}`, 201,
			`"state":"draft"`},
		{"fields after", "/v1/batches", js, `{"recipients": ` + list + `, ` + asDraft + `}`, 201, `"state":"draft"`},
		{"lines", "/v1/batches", nd, `{` + asDraft + "}\n" + lines, 201, `"state":"draft"`},
		{"csv", inQuery, "text/csv", csv.String(), 201, `"state":"draft"`},
		{"broken at the end", "/v1/batches", nd, `{` + batch + "}\n" + lines + "\n{", 400, "ends too early"},
		{"broken row", "/v1/batches", js, `{` + batch + `, "recipients": [` + list[1:len(list)-1] + `, {"address": 1}]}`, 400,
			fmt.Sprintf("recipient %d: ", large+1)},
		{"broken line", inQuery, "text/csv", csv.String() + "x", 400, fmt.Sprintf("line %d: 1 field", large+2)},
		{"unknown field after", "/v1/batches", js, `{` + batch + `, "recipients": ` + list + `, "idem_key": "x"}`, 400, "idem_key"},
		{"refused", "/v1/batches", nd, `{"priority": 11, ` + batch + "}\n" + lines, 403, "max-priority"},
		{"lines", "/v1/batches", nd, `{` + batch + "}\n" + lines + "\n{", 400, "ends too early"}, // it stays a draft
	} {
		status, answer := d.call("POST", tt.path, tt.key, tt.kind, tt.body)
		if status != tt.status || !strings.Contains(answer, tt.want) {
			t.Errorf("%s: got %d %.200s, want %d and %q", tt.key, status, answer, tt.status, tt.want)
		}
		var s queue.Status
		if status != http.StatusCreated || json.Unmarshal([]byte(answer), &s) != nil {
			continue
		}
		if got := queuetest.Query[int](d.Fixture, `SELECT count(*)::int FROM enotify.recipient_in WHERE batch_id = $1`,
			s.ID); got != large {
			t.Errorf("%s: staged rows: got %d, want %d", tt.key, got, large)
		}
	}
	if got := queuetest.Query[string](d.Fixture, `SELECT string_agg(idem_key || ': ' || state, ', ' ORDER BY id)
		FROM enotify.batch`); got != "fields before: draft, fields before and after: draft, fields after: draft, lines: draft, csv: draft" {
		t.Errorf("batches: got %q, want five drafts, and none of what was refused", got)
	}
	if got := queuetest.Query[int](d.Fixture, `SELECT count(*)::int FROM enotify.recipient_in`); got != 5*large {
		t.Errorf("staged rows of all: got %d, want %d", got, 5*large)
	}
}

// A large body that pauses keeps no transaction open, and is taken when it goes on.
func TestALargeBodyThatPauses(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	in, body := io.Pipe()
	answered := make(chan string, 1)
	go func() {
		status, answer := d.callAs(d.token, "POST", "/v1/batches", "paused", "application/x-ndjson", in)
		answered <- fmt.Sprint(status, " ", answer)
	}()
	lines := manyObjects("\n")
	if _, err := io.WriteString(body, `{`+batch+"}\n"+lines+"\n"); err != nil {
		t.Fatal(err)
	}
	const copying = `SELECT EXISTS (SELECT FROM pg_stat_activity
		WHERE datname = current_database() AND query LIKE 'COPY enotify.recipient_in%' AND state <> 'idle')`
	// It begins unless the machine is slow; then there is nothing to wait for.
	for until := time.Now().Add(2 * time.Second); !queuetest.Query[bool](d.Fixture, copying) && time.Now().Before(until); {
		time.Sleep(10 * time.Millisecond)
	}
	d.Until(func() {}, `SELECT NOT `+strings.TrimPrefix(copying, "SELECT "))
	if status, answer := d.call("POST", "/v1/batches", "another", "application/json",
		`{`+batch+`, "recipients": [{"address": "a@a.example"}]}`); status != http.StatusCreated {
		t.Errorf("another batch of the token, meanwhile: got %d %s, want 201", status, answer)
	}
	if _, err := io.WriteString(body, lines); err != nil {
		t.Fatal(err)
	}
	body.Close()
	if got := <-answered; !strings.HasPrefix(got, "201 ") {
		t.Errorf("the batch: got %s, want 201", got)
	}
	if got := queuetest.Query[int](d.Fixture, `SELECT staged FROM enotify.batch WHERE idem_key = 'paused'`); got != 2*large {
		t.Errorf("recipients of the batch: got %d rows, want %d", got, 2*large)
	}
}
