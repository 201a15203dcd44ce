package queue_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"enotify/queue/queuetest"
)

// refused runs a statement that must fail with a message that holds want.
func refused(f *queuetest.Fixture, sql, want string, args ...any) {
	f.Helper()
	queuetest.Refused(f.T, f.Conn, sql, want, args...)
}

// An application login sees and sends for its own clients, and nothing else.
func TestApplicationLoginIsConfined(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	url := queuetest.Login(t, f.URL, "enotify_app")
	app := queuetest.Connect(t, url)
	f.Exec(`INSERT INTO enotify.client (domain) VALUES ('city.example'), ('free.example')`)
	f.Exec(`INSERT INTO enotify.client_login SELECT id, $1 FROM enotify.client WHERE domain = 'city.example'`,
		app.Config().User)
	f.Exec(`INSERT INTO enotify.client_login SELECT id, 'somebody_else' FROM enotify.client WHERE domain = 'town.example'`)
	foreign := f.Enqueue("foreign", 3, "a.example")

	var own int64
	if err := app.QueryRow(t.Context(), `SELECT enotify.enqueue('k', 'info@city.example', 's', 't', '{x@a.example}')`).Scan(&own); err != nil {
		t.Fatalf("enqueue for its own client: %v", err)
	}
	var draft int64
	if err := app.QueryRow(t.Context(), `SELECT enotify.create_batch('d', 'info@city.example', 's', 't')`).Scan(&draft); err != nil {
		t.Fatal(err)
	}
	if _, err := app.CopyFrom(t.Context(), pgx.Identifier{"enotify", "recipient_in"},
		[]string{"batch_id", "address", "data"}, pgx.CopyFromRows([][]any{{draft, "a@b.example", nil}})); err != nil {
		t.Fatalf("COPY into its own draft: %v", err)
	}
	for _, view := range []string{"batch_status", "delivery"} {
		id := map[string]string{"batch_status": "id", "delivery": "batch_id"}[view]
		rows, err := app.Query(t.Context(), `SELECT DISTINCT `+id+` FROM enotify.`+view+` ORDER BY 1`)
		if err != nil {
			t.Fatal(err)
		}
		got, err := pgx.CollectRows(rows, pgx.RowTo[int64])
		if err != nil {
			t.Fatal(err)
		}
		want := map[string][]int64{"batch_status": {own, draft}, "delivery": {own}}[view]
		if !cmp.Equal(got, want) {
			t.Errorf("%s shows batches %v, want %v", view, got, want)
		}
	}

	others := "no batch 1 of yours"
	for sql, want := range map[string]string{
		`SELECT enotify.create_batch('k', 'info@town.example', 's')`:                                "client town.example is tied to somebody_else, and you are ",
		`SELECT enotify.create_batch('k', 'info@free.example', 's')`:                                " sends for the clients that it is tied to, and free.example is none of them",
		`SELECT enotify.create_batch('k', 'info@nobody.example', 's')`:                              "domain nobody.example is not a registered client of yours",
		`SELECT enotify.submit_batch(1)`:                                                            others,
		`SELECT enotify.add_recipients(1, '{a@b.example}')`:                                         others,
		`SELECT enotify.add_attachment(1, 'a.txt', 'x')`:                                            others,
		`INSERT INTO enotify.recipient_in (batch_id, address) VALUES (1, 'a@b.example')`:            others,
		`INSERT INTO enotify.recipient_in (batch_id, address, owner) VALUES (1, 'a@b.example', 10)`: "permission denied",
		`SELECT enotify.pause_batch(1, '')`:                                                         "permission denied",
		`SELECT enotify.resume_batch(1)`:                                                            "permission denied",
		`SELECT enotify.cancel_batch(1, '')`:                                                        "permission denied",
		`SELECT enotify.my_batch(1)`:                                                                "permission denied",
		`SELECT * FROM enotify.batch`:                                                               "permission denied",
		`SELECT * FROM enotify.recipient`:                                                           "permission denied",
		`SELECT * FROM enotify.recipient_in`:                                                        "permission denied",
		`SELECT * FROM enotify.outcome`:                                                             "permission denied",
		`SELECT * FROM enotify.suppression`:                                                         "permission denied",
		`DELETE FROM enotify.suppression`:                                                           "permission denied",
		`UPDATE enotify.client_login SET login = current_user`:                                      "permission denied",
		`UPDATE enotify.batch SET state = 'queued'`:                                                 "permission denied",
		`INSERT INTO enotify.client (domain) VALUES ('mine.example')`:                               "permission denied",
		`CREATE TABLE enotify.mine ()`:                                                              "permission denied",
		`SELECT enotify.create_batch('k2', 'info@city.example', repeat('s', 10000000))`:             `the subject has 10000000 characters, where 900 are allowed`,
	} {
		queuetest.Refused(t, app, sql, want)
	}
	if got := f.States(foreign); !cmp.Equal(got, map[string]int{"pending": 3}) {
		t.Errorf("the other client's batch: got %v, want it as it was", got)
	}
}

// A login that is tied to no client may use the clients that are tied to nobody.
func TestUntiedLoginUsesUntiedClients(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	f.Exec(`INSERT INTO enotify.client (domain) VALUES ('tied.example')`)
	f.Exec(`INSERT INTO enotify.client_login SELECT id, 'somebody_else' FROM enotify.client WHERE domain = 'tied.example'`)
	app := queuetest.Connect(t, queuetest.Login(t, f.URL, "enotify_app"))
	if _, err := app.Exec(t.Context(), `SELECT enotify.enqueue('k', 'info@town.example', 's', 't', '{x@a.example}')`); err != nil {
		t.Errorf("enqueue for a client that is tied to nobody: %v", err)
	}
	queuetest.Refused(t, app, `SELECT enotify.enqueue('k', 'info@tied.example', 's', 't', '{x@a.example}')`,
		"client tied.example is tied to somebody_else, and you are ")
}

// A node runs with a login that is enotify_sender and nothing more.
func TestSenderRoleSuffices(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	batch := f.Enqueue("menu", 20, "a.example", "gone.example")
	f.DB = queuetest.Open(t, queuetest.Login(t, f.URL, "enotify_sender"))
	f.Serve(f.Server("n1", queuetest.AnswerByDomain))
	if got, want := f.States(batch), map[string]int{"delivered": 10, "bounced": 10}; !cmp.Equal(got, want) {
		t.Errorf("states: got %v, want %v", got, want)
	}
}

// A node moves batches and domains, and changes nothing else of them.
func TestSenderChangesNoBatch(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	f.Enqueue("menu", 1, "a.example")
	sender := queuetest.Connect(t, queuetest.Login(t, f.URL, "enotify_sender"))
	for _, sql := range []string{
		`UPDATE enotify.batch SET body_text = 'else'`,
		`UPDATE enotify.batch SET from_address = 'mayor@town.example'`,
		`UPDATE enotify.batch_domain SET last_seq = 7`,
		`UPDATE enotify.domain SET name = 'b.example'`,
		`UPDATE enotify.recipient SET address = 'x@b.example'`,
		`UPDATE enotify.client SET return_path = 'x@b.example'`,
		`INSERT INTO enotify.recipient_in (batch_id, address) VALUES (1, 'x@b.example')`,
	} {
		queuetest.Refused(t, sender, sql, "permission denied")
	}
}

// PUBLIC has nothing: a function is executable by all when it is made.
func TestPublicHasNothing(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	got := queuetest.Query[string](f, `
		SELECT coalesce(string_agg(p.oid::regprocedure::text, ', '), '') FROM pg_proc p
		WHERE p.pronamespace = 'enotify'::regnamespace AND has_function_privilege('public', p.oid, 'EXECUTE')`)
	if got != "" {
		t.Errorf("PUBLIC may execute %s", got)
	}
	got = queuetest.Query[string](f, `
		SELECT coalesce(string_agg(c.relname, ', '), '') FROM pg_class c
		WHERE c.relnamespace = 'enotify'::regnamespace AND c.relkind IN ('r', 'v') AND has_table_privilege('public', c.oid, 'SELECT, INSERT, UPDATE, DELETE')`)
	if got != "" {
		t.Errorf("PUBLIC may use %s", got)
	}
}

// Each table and column, and each function, says what it is for.
func TestSchemaIsDocumented(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	got := queuetest.Query[string](f, `
		SELECT coalesce(string_agg(format('%s.%s', c.relname, a.attname), ', ' ORDER BY c.relname, a.attnum), '')
		FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum >= 0 AND NOT a.attisdropped
		WHERE c.relnamespace = 'enotify'::regnamespace AND c.relkind = 'r' AND col_description(c.oid, a.attnum) IS NULL`)
	if got != "" {
		t.Errorf("columns without a comment: %s", got)
	}
	got = queuetest.Query[string](f, `
		SELECT coalesce(string_agg(name, ', '), '') FROM (
			SELECT c.relname AS name FROM pg_class c WHERE c.relnamespace = 'enotify'::regnamespace AND c.relkind IN ('r', 'v') AND obj_description(c.oid, 'pg_class') IS NULL
			UNION ALL
			SELECT p.proname FROM pg_proc p WHERE p.pronamespace = 'enotify'::regnamespace AND obj_description(p.oid, 'pg_proc') IS NULL) u`)
	if got != "" {
		t.Errorf("without a comment: %s", got)
	}
}
