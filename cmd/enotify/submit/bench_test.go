package submit_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"enotify/cmd/enotify/submit"
	"enotify/queue"
	"enotify/queue/queuetest"
)

// BenchmarkRecipients stages 200,000 recipients in a draft by COPY, as an application does, and
// over HTTP in each form, in turns, on a server that waits for its disk. It reports the
// recipients a second of each, and the share of COPY's speed that HTTP has.
func BenchmarkRecipients(b *testing.B) {
	const n = 200_000
	server := queuetest.Durable(b)
	db, err := queue.Open(b.Context(), server, 0)
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Pool().Exec(b.Context(),
		`INSERT INTO enotify.client (domain) VALUES ('town.example')`); err != nil {
		b.Fatal(err)
	}
	login := queuetest.Login(b, server, "enotify_app")
	app, err := queue.Open(b.Context(), login, 1)
	if err != nil {
		b.Fatal(err)
	}
	defer app.Close()
	_, check := queue.TokenKeyOf("bench")
	if _, err := db.AddToken(b.Context(), app.User(), "", check); err != nil {
		b.Fatal(err)
	}
	l, err := submit.Listen("127.0.0.1:0", "", "")
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	var serving sync.WaitGroup
	serving.Go(func() { _ = (&submit.Door{DB: db, Dir: b.TempDir()}).Serve(ctx, l) })
	defer serving.Wait()
	defer cancel()

	const fields = `"from_address": "info@town.example", "subject": "Lunch menu", "body_text": "Soup.", "draft": true`
	var rows, lines, array, csv bytes.Buffer
	lines.WriteString("{" + fields + "}\n")
	array.WriteString("{" + fields + `, "recipients": [`)
	csv.WriteString("address,name\n")
	for i := range n {
		address := fmt.Sprintf("user%d@d%d.example", i, i%20000)
		fmt.Fprintf(&rows, "%s\t{\"name\":\"Ann\"}\n", address)
		object := `{"address":"` + address + `","data":{"name":"Ann"}}`
		fmt.Fprintf(&lines, "%s\n", object)
		fmt.Fprintf(&array, "%s%s", strings.Repeat(",", min(i, 1)), object)
		fmt.Fprintf(&csv, "%s,Ann\n", address)
	}
	array.WriteString("]}")
	post := func(key, query, kind string, body []byte) {
		q, _ := http.NewRequest(http.MethodPost, "http://"+l.Addr().String()+"/v1/batches?"+query, bytes.NewReader(body))
		for name, value := range map[string]string{"Authorization": "Bearer bench", "Idempotency-Key": key,
			"Content-Type": kind} {
			q.Header.Set(name, value)
		}
		r, err := http.DefaultClient.Do(q)
		if err != nil {
			b.Fatal(err)
		}
		defer r.Body.Close()
		if answer, _ := io.ReadAll(r.Body); r.StatusCode != http.StatusCreated {
			b.Fatalf("%s: got %d %s", key, r.StatusCode, answer)
		}
	}
	inQuery := url.Values{"from_address": {"info@town.example"}, "subject": {"Lunch menu"}, "body_text": {"Soup."},
		"draft": {"true"}}.Encode()
	ways := []struct {
		name  string
		stage func(key string)
	}{
		{"COPY", func(key string) { copyRows(b, app, key, rows.Bytes()) }},
		{"lines", func(key string) { post(key, "", "application/x-ndjson", lines.Bytes()) }},
		{"JSON", func(key string) { post(key, "", "application/json", array.Bytes()) }},
		{"CSV", func(key string) { post(key, inQuery, "text/csv", csv.Bytes()) }},
	}
	took := make([]time.Duration, len(ways))
	for i := 0; b.Loop(); i++ {
		for turn := range ways {
			w := (i + turn) % len(ways) // none is always first
			start := time.Now()
			ways[w].stage(fmt.Sprint(ways[w].name, i))
			took[w] += time.Since(start)
		}
		if _, err := db.Pool().Exec(b.Context(), `TRUNCATE enotify.recipient_in`); err != nil {
			b.Fatal(err)
		}
	}
	for w, way := range ways {
		b.ReportMetric(n*float64(b.N)/took[w].Seconds(), way.name+"/s")
		if w > 0 {
			b.ReportMetric(took[0].Seconds()/took[w].Seconds(), way.name+"_of_COPY")
		}
	}
}

// copyRows makes a draft and copies its recipients, as psql does.
func copyRows(b *testing.B, app *queue.DB, key string, rows []byte) {
	ctx := b.Context()
	tx, err := app.Pool().Begin(ctx)
	if err != nil {
		b.Fatal(err)
	}
	defer tx.Rollback(ctx)
	var id int64
	if err := tx.QueryRow(ctx, `SELECT enotify.create_batch($1, 'info@town.example', 'Lunch menu', 'Soup.')`,
		key).Scan(&id); err != nil {
		b.Fatal(err)
	}
	// The number of the batch is the same for all rows, so that it is a prefix here.
	prefix := fmt.Appendf(nil, "%d\t", id)
	text := append(prefix, bytes.ReplaceAll(bytes.TrimSuffix(rows, []byte("\n")), []byte("\n"),
		append([]byte("\n"), prefix...))...)
	if _, err := tx.Conn().PgConn().CopyFrom(ctx, bytes.NewReader(text),
		`COPY enotify.recipient_in (batch_id, address, data) FROM STDIN`); err != nil {
		b.Fatal(err)
	}
	if err := tx.Commit(ctx); err != nil {
		b.Fatal(err)
	}
}
