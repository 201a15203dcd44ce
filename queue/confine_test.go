package queue_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"enotify/queue/queuetest"
)

// appFunctions are those that an application login may execute. A function that
// is not here is an internal one: add it only if an application may call it
// with whatever it likes.
var appFunctions = []string{
	"a_labels", "add_attachment", "add_recipients", "bare_mailbox", "batch_page", "create_batch", "enqueue", "events",
	"invisible", "keep_ready", "last_event", "mailbox", "mailbox_problem", "my_clients", "my_login", "punycode",
	"replace_content", "submit_batch", "unseen",
}

// confined is a login of town.example alone, beside city.example and its
// batch 1 to three recipients.
func confined(t *testing.T) (f *queuetest.Fixture, app *pgx.Conn) {
	t.Helper()
	f = queuetest.NewFixture(t)
	f.Exec(`INSERT INTO enotify.client (domain) VALUES ('city.example')`)
	f.Exec(`INSERT INTO enotify.client_login SELECT id, 'somebody_else' FROM enotify.client WHERE domain = 'city.example'`)
	f.Exec(`SELECT enotify.enqueue('foreign', 'info@city.example', 'Secret subject', 'Secret', '{secret@a.example,b@a.example,c@a.example}')`)
	app = queuetest.Connect(t, queuetest.Login(t, f.URL, "enotify_app"))
	f.Exec(`INSERT INTO enotify.client_login SELECT id, $1 FROM enotify.client WHERE domain = 'town.example'`,
		app.Config().User)
	return f, app
}

func names(f *queuetest.Fixture, sql string, args ...any) []string {
	f.Helper()
	return queuetest.Query[[]string](f, `SELECT coalesce(array_agg(DISTINCT name ORDER BY name), '{}') FROM (`+sql+
		`) AS s (name)`, args...)
}

// What an application login may execute, read and write is this, and no more.
func TestApplicationLoginMayDoNoMore(t *testing.T) {
	t.Parallel()
	f, app := confined(t)
	login := app.Config().User
	if diff := cmp.Diff(appFunctions, names(f, `
		SELECT proname::text FROM pg_proc WHERE pronamespace = 'enotify'::regnamespace AND has_function_privilege($1, oid, 'EXECUTE')`, login)); diff != "" {
		t.Errorf("functions (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"alert", "batch_status", "delivery", "ready", "schema_function", "schema_version"},
		names(f, `
		SELECT relname::text FROM pg_class WHERE relnamespace = 'enotify'::regnamespace AND relkind IN ('r', 'v', 'm', 'p', 'f', 'S')
		AND CASE relkind WHEN 'S' THEN has_sequence_privilege($1, oid, 'USAGE, SELECT, UPDATE') ELSE has_table_privilege($1, oid, 'SELECT') OR has_any_column_privilege($1, oid, 'SELECT') END`, login)); diff != "" {
		t.Errorf("readable (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"recipient_in.address", "recipient_in.batch_id", "recipient_in.data"}, names(f, `
		SELECT c.relname || '.' || a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
		WHERE c.relnamespace = 'enotify'::regnamespace AND c.relkind IN ('r', 'v', 'p')
		AND (has_column_privilege($1, c.oid, a.attnum, 'INSERT, UPDATE, REFERENCES') OR has_table_privilege($1, c.oid, 'DELETE, TRUNCATE, TRIGGER'))`, login)); diff != "" {
		t.Errorf("writable columns (-want +got):\n%s", diff)
	}
	// A SECURITY DEFINER function has its owner's rights: it must not look names up where the caller may put some.
	if got := names(f, `
		SELECT proname::text FROM pg_proc WHERE pronamespace = 'enotify'::regnamespace AND prosecdef
		AND NOT coalesce(proconfig @> '{"search_path=pg_catalog, pg_temp"}', false)`); len(got) > 0 {
		t.Errorf("SECURITY DEFINER without a fixed search_path: %v", got)
	}
}

// Every way out of its box that PostgreSQL offers is closed.
func TestApplicationLoginStaysInside(t *testing.T) {
	t.Parallel()
	f, app := confined(t)
	const denied, absent = "permission denied", "no batch 1 of yours"
	const anyDenial = "SQLSTATE 42501" // versions of PostgreSQL word it differently
	for _, try := range [][2]string{
		{`SET ROLE enotify_admin`, "permission denied to set role"},
		{`SET ROLE enotify_sender`, "permission denied to set role"},
		{`SET SESSION AUTHORIZATION postgres`, "permission denied to set session authorization"},
		{`ALTER ROLE CURRENT_USER SUPERUSER`, anyDenial},
		{`GRANT enotify_admin TO CURRENT_USER`, anyDenial},
		{`CREATE ROLE another`, "permission denied to create role"},
		{`COPY enotify.recipient TO STDOUT`, denied},
		{`COPY (SELECT * FROM enotify.outcome) TO STDOUT`, denied},
		{`COPY enotify.recipient_in TO STDOUT`, denied},
		{`COPY (SELECT 1) TO '/tmp/out'`, anyDenial},
		{`COPY enotify.recipient_in (address) FROM '/etc/passwd'`, anyDenial},
		{`COPY (SELECT 1) TO PROGRAM 'id'`, anyDenial},
		{`SELECT pg_read_file('postgresql.conf')`, denied},
		{`SELECT pg_ls_dir('.')`, denied},
		{`SELECT lo_import('/etc/passwd')`, denied},
		{`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'postgres'`, anyDenial},
		{`SELECT * FROM pg_authid`, denied},
		{`CREATE FUNCTION enotify.lower(text) RETURNS text LANGUAGE sql AS 'SELECT 1::text'`, denied},
		{`CREATE FUNCTION public.lower(text) RETURNS text LANGUAGE sql AS 'SELECT 1::text'`, denied},
		{`CREATE TRIGGER mine BEFORE INSERT ON enotify.recipient_in FOR EACH ROW EXECUTE FUNCTION enotify.recipients_staged()`, denied},
		{`CREATE VIEW pg_temp.mine AS SELECT * FROM enotify.recipient; SELECT * FROM pg_temp.mine`, denied},
		{`ALTER TABLE enotify.recipient_in DISABLE TRIGGER ALL`, "must be owner"},
		{`SET session_replication_role = replica`, "permission denied to set parameter"},
		{`DO $$ BEGIN LOCK TABLE enotify.batch; END $$`, denied},
		{`DO $$ BEGIN LOCK TABLE enotify.recipient_in IN ACCESS EXCLUSIVE MODE; END $$`, denied},
		{`TRUNCATE enotify.recipient_in`, denied},
		{`SELECT nextval('enotify.batch_id_seq')`, denied},
		{`DO $$ BEGIN PERFORM * FROM enotify.batch; END $$`, denied},
		{`SELECT enotify.my_batch(1)`, denied},
		{`SELECT enotify.requeue_batch(1, 'unknown')`, denied},
		{`SELECT enotify.mark_delivered(1)`, denied},
		{`SELECT enotify.prune_batch(1)`, denied},
		{`SELECT enotify.lock_results(1)`, denied},
		{`SELECT enotify.suppressed('secret@a.example', 1)`, denied},
		{`SELECT enotify.submit_batch(1)`, absent},
		{`SELECT enotify.submit_batch(NULL)`, "no batch NULL of yours"},
		{`SELECT enotify.add_recipients(1, '{x@a.example}')`, absent},
		{`INSERT INTO enotify.recipient_in (batch_id, address) SELECT 999, i || '@a.example' FROM generate_series(1, 100000) i`, "no batch 999 of yours"},
		{`INSERT INTO enotify.recipient_in (batch_id, address) VALUES (NULL, 'x@a.example')`, "null value in column"},
		{`INSERT INTO enotify.recipient_in (batch_id, address, owner) VALUES (1, 'x@a.example', 10)`, denied},
		{`INSERT INTO enotify.recipient_in (batch_id, address) VALUES (1, 'x@a.example') RETURNING owner`, denied},
		{`SELECT enotify.create_batch('long', 'info@town.example', repeat('s', 10000000))`,
			`the subject has 10000000 characters, where 900 are allowed`},
		{`SELECT enotify.create_batch(repeat('k', 201), 'info@town.example', 's')`, `the idem_key has 201 characters`},
		{`SELECT enotify.create_batch('p', 'info@town.example', 's', list_unsubscribe => 'javascript:alert(1)')`,
			`list_unsubscribe is no https: or mailto: URI`},
	} {
		queuetest.Refused(t, app, try[0], try[1])
	}
	if got := queuetest.Query[int](f, `SELECT count(*)::int FROM enotify.recipient_in`); got != 0 {
		t.Errorf("rows staged without a batch: got %d, want 0", got)
	}
}

// What the login puts into its own schema is not what our functions find.
func TestShadowsAreNotSeen(t *testing.T) {
	t.Parallel()
	_, app := confined(t)
	for _, sql := range []string{
		`CREATE TEMP TABLE client (id int, domain text)`,
		`CREATE TEMP TABLE client_login (client_id int, login name)`,
		`INSERT INTO pg_temp.client VALUES (2, 'city.example')`,
		`CREATE FUNCTION pg_temp.lower(text) RETURNS text LANGUAGE sql AS 'SELECT ''x''::text'`,
		`CREATE FUNCTION pg_temp.pg_has_role(name, name, text) RETURNS boolean LANGUAGE sql AS 'SELECT true'`,
		`CREATE FUNCTION pg_temp.mailbox_domain(text) RETURNS text LANGUAGE sql AS 'SELECT ''city.example''::text'`,
		`CREATE FUNCTION pg_temp.same(text, text) RETURNS boolean LANGUAGE sql AS 'SELECT true'`,
		`CREATE OPERATOR pg_temp.= (LEFTARG = text, RIGHTARG = text, FUNCTION = pg_temp.same)`,
		`SET search_path = pg_temp, pg_catalog, enotify`,
	} {
		if _, err := app.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	queuetest.Refused(t, app, `SELECT enotify.create_batch('k', 'info@city.example', 's')`,
		"client city.example is tied to somebody_else, and you are ")
	queuetest.Refused(t, app, `SELECT enotify.submit_batch(1)`, "no batch 1 of yours")
	var seen int
	if err := app.QueryRow(t.Context(), `SELECT count(*) FROM enotify.delivery`).Scan(&seen); err != nil || seen != 0 {
		t.Errorf("recipients seen: got %d and %v, want none", seen, err)
	}
}

// The views show nothing to a condition that leaks what it is handed, and say
// nothing of what they hide. A notification that is forged wakes, and does
// nothing else: nobody believes it.
func TestViewsDoNotLeak(t *testing.T) {
	t.Parallel()
	f, app := confined(t)
	var told []string
	for _, sql := range []string{
		`CREATE FUNCTION pg_temp.leak(text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS $$ BEGIN IF $1 IS NOT NULL THEN RAISE EXCEPTION 'leaked %', $1; END IF; RETURN true; END $$`,
		`SELECT count(*) FROM enotify.delivery WHERE pg_temp.leak(address)`,
		`SELECT count(*) FROM enotify.batch_status WHERE pg_temp.leak(subject)`,
		`SELECT count(*) FROM enotify.batch_status WHERE 1 / (length(subject) - 14) > 0`, // the length of the secret
	} {
		if _, err := app.Exec(t.Context(), sql); err != nil {
			told = append(told, err.Error())
		}
	}
	if len(told) > 0 {
		t.Errorf("what the views hide came out: %v", told)
	}
	rows, err := app.Query(t.Context(), `EXPLAIN (ANALYZE, VERBOSE) SELECT * FROM enotify.delivery WHERE batch_id = 1`)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	if text := strings.Join(plan, "\n"); strings.Contains(text, "secret") || strings.Contains(text, "Secret") {
		t.Errorf("the plan tells what the view hides:\n%s", text)
	}
	if got := queuetest.Query[[]string](f,
		`SELECT coalesce(array_agg(attname::text), '{}') FROM pg_stats WHERE schemaname = 'enotify' AND has_table_privilege($1, 'pg_statistic', 'SELECT')`, app.Config().User); len(got) > 0 {
		t.Errorf("statistics are readable: %v", got)
	}

	s := f.Server("n1", queuetest.Deliver)
	listening, stop := context.WithCancel(t.Context())
	defer stop()
	heard := make(chan string)
	go func() {
		_ = f.DB.Listen(listening, func(payload string) { s.Wake(); heard <- payload })
	}()
	first := "batch 1 done"
	for seen := false; !seen; { // once it listens
		if _, err := app.Exec(t.Context(), `SELECT pg_notify('enotify', $1)`, first); err != nil {
			t.Fatal(err)
		}
		select {
		case got := <-heard:
			seen = got == first
		case <-time.After(20 * time.Millisecond):
		}
	}
	go func() {
		for range heard { // as many as come
		}
	}()
	for _, forged := range []string{"batch 1 cancelled", "destination", "", strings.Repeat("x", 7000)} {
		if _, err := app.Exec(t.Context(), `SELECT pg_notify('enotify', $1)`, forged); err != nil {
			t.Fatal(err)
		}
	}
	f.Serve(s)
	if got, want := f.States(1), map[string]int{"delivered": 3}; !cmp.Equal(got, want) {
		t.Errorf("states after forged notifications: got %v, want %v", got, want)
	}
}

// A line end, or NUL, in any text that an application can hand over is refused
// or ends up where it can do no harm: in a body, in merge data, in a reason.
func TestNoFieldTakesALineEnd(t *testing.T) {
	t.Parallel()
	f, app := confined(t)
	harmless := map[string]bool{ // not a header
		"create_batch.body_text": true, "create_batch.body_html": true, "enqueue.body_text": true,
		"enqueue.body_html":         true,
		"replace_content.body_text": true, "replace_content.body_html": true,
		"create_batch.idem_key": true, "enqueue.idem_key": true,
		// text in, text out
		"mailbox.address": true, "bare_mailbox.address": true, "invisible.m": true, "mailbox_problem.m": true,
		"a_labels.domain": true, "punycode.label": true,
		// trimmed, and looked at below
		"create_batch.reply_to": true, "enqueue.reply_to": true, "create_batch.from_address": true,
		"enqueue.from_address": true,
		"enqueue.addresses":    true, "add_recipients.addresses": true, // invalid recipients
	}
	var draft int64
	if err := app.QueryRow(t.Context(), `SELECT enotify.create_batch('draft', 'info@town.example', 's', 't')`).Scan(&draft); err != nil {
		t.Fatal(err)
	}
	good := map[string]string{
		"batch": fmt.Sprint(draft), "idem_key": "'k'", "from_address": "'info@town.example'", "subject": "'s'",
		"body_text": "'t'",
		"addresses": "'{x@a.example}'", "filename": "'a.txt'", "content": "'x'",
	}
	rows, err := f.Conn.Query(t.Context(), `
		SELECT p.proname::text, a.name, a.type::regtype::text, a.i > p.pronargs - p.pronargdefaults
		FROM pg_proc p, unnest(p.proargnames[1:p.pronargs], p.proargtypes::oid[]) WITH ORDINALITY a (name, type, i)
		WHERE p.pronamespace = 'enotify'::regnamespace AND p.proname = ANY ($1) ORDER BY p.proname, a.i`, appFunctions)
	if err != nil {
		t.Fatal(err)
	}
	type parameter struct {
		Function, Name, Type string
		Optional             bool
	}
	parameters, err := pgx.CollectRows(rows, pgx.RowToStructByPos[parameter])
	if err != nil {
		t.Fatal(err)
	}
	tried := 0
	for _, p := range parameters {
		if p.Type != "text" && p.Type != "text[]" {
			continue
		}
		for i, end := range []string{`\r\n`, `\n`, `\r`} {
			value := fmt.Sprintf(`E'x@town.example%sBcc: v@evil.example'`, end)
			switch p.Name {
			case "list_unsubscribe":
				value = fmt.Sprintf(`E'https://town.example/%sBcc:v@evil.example'`, end)
			case "content_type":
				value = fmt.Sprintf(`E'text/plain%sBcc:v@evil.example'`, end)
			}
			if p.Type == "text[]" {
				value = "ARRAY[" + value + "]"
			}
			var args []string
			for _, q := range parameters {
				if q.Function != p.Function {
					continue
				}
				switch {
				case q.Name == p.Name:
					args = append(args, q.Name+" => "+value)
				case q.Name == "idem_key":
					args = append(args, fmt.Sprintf("idem_key => 'k%d-%d'", tried, i))
				case !q.Optional:
					args = append(args, q.Name+" => "+good[q.Name])
				}
			}
			sql := `SELECT enotify.` + p.Function + `(` + strings.Join(args, ", ") + `)`
			_, err := app.Exec(t.Context(), sql)
			if err == nil && !harmless[p.Function+"."+p.Name] {
				t.Errorf("%s: accepted", sql)
			}
		}
		tried++
	}
	queuetest.Refused(t, app, `SELECT enotify.create_batch('nul', 'info@town.example', $1)`, "invalid byte sequence", "a\x00b")
	if tried < 20 {
		t.Errorf("text parameters tried: got %d, want all", tried)
	}
	if got := names(f, `SELECT idem_key FROM enotify.batch WHERE concat(from_address, from_name, reply_to, subject, list_unsubscribe) ~ '[\r\n]'`); len(got) > 0 {
		t.Errorf("batches with a line end in a header: %v", got)
	}
	if got := names(f, `SELECT filename FROM enotify.attachment WHERE concat(filename, content_type) ~ '[\r\n]'`); len(got) > 0 {
		t.Errorf("attachments with a line end in a header: %q", got)
	}
	if got := names(f, `SELECT address FROM enotify.recipient WHERE domain_id IS NOT NULL AND address ~ '[\r\n]'`); len(got) > 0 {
		t.Errorf("recipients with a line end: %q", got)
	}
}

// The columns that become headers are guarded in the table too, against a login that
// inserts, by whatever way.
func TestHeadersAreCheckedInTheTable(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	noHeader := []string{"body_text", "body_html", "reason", "fault", "idem_key", "on_unknown", "pool", "send_window"}
	columns := names(f, `SELECT attname::text FROM pg_attribute WHERE attrelid = 'enotify.batch'::regclass AND atttypid = 'text'::regtype AND attnum > 0 AND NOT attisdropped`)
	for _, column := range columns {
		if slices.Contains(noHeader, column) {
			continue
		}
		for _, end := range []string{"\r\n", "\n", "\r"} {
			values := map[string]string{"from_address": "info@town.example", "subject": "s"}
			values[column] = "https:x" + end + "Bcc: v@evil.example"
			var named, marks []string
			args := []any{fmt.Sprint(column, end, time.Now())}
			for c, v := range values {
				args = append(args, v)
				named, marks = append(named, c), append(marks, fmt.Sprintf("$%d", len(args)))
			}
			refused(f, `INSERT INTO enotify.batch (client_id, idem_key, `+strings.Join(named, ", ")+`) VALUES (1, $1, `+
				strings.Join(marks, ", ")+`)`, "batch_"+column+"_check", args...)
		}
	}
}
