package main_test

import (
	"context"
	"strings"
	"testing"
	"time"
	"unicode"

	"enotify/queue"
	"enotify/queue/queuetest"
	"enotify/spfguard/dns/dnstest"
)

// hostile is text that sets a clipboard, turns the direction of a line, and hides, as
// PostgreSQL reads it.
const hostile = `E'\x1b]52;c;cm0gLXJm\x07\u009b31m\u202egpj\u2066\u200b\u0085\r!'`

// hostileSQL puts hostile text into each column of every row that takes it; columns with
// a list or form of their own refuse it. Triggers would refuse all of a row.
const hostileSQL = `
DO $$
DECLARE
	c record;
BEGIN
	CREATE TEMP TABLE took (name text) ON COMMIT PRESERVE ROWS;
	SET LOCAL session_replication_role = replica;
	FOR c IN
		SELECT a.attrelid::regclass AS t, quote_ident(a.attname) AS name, CASE a.atttypid
			WHEN 'text'::regtype THEN 'coalesce(%2$s, '''') || $1'
			WHEN 'jsonb'::regtype THEN 'replace(%2$s::text, ''": "'', ''": "'' || trim(to_json($1::text)::text, ''"''))::jsonb'
			ELSE 'coalesce(%2$s, ''{}'') || $1' END AS value
		FROM pg_attribute a JOIN pg_class k ON k.oid = a.attrelid
		WHERE k.relnamespace = 'enotify'::regnamespace AND k.relkind = 'r' AND k.relname NOT LIKE 'schema%'
			AND k.relname <> 'era' AND a.attname <> 'send_window' AND a.attnum > 0 AND a.attgenerated = ''
			AND a.atttypid IN ('text'::regtype, 'text[]'::regtype, 'jsonb'::regtype)
	LOOP
		BEGIN
			EXECUTE format('WITH u AS (UPDATE %1$s SET %2$s = ' || c.value || ' RETURNING 1)
				INSERT INTO took SELECT %3$L WHERE EXISTS (SELECT FROM u)', c.t, c.name, c.t || '.' || c.name)
				USING ` + hostile + `::text;
		EXCEPTION WHEN check_violation OR foreign_key_violation OR unique_violation OR invalid_text_representation THEN
			NULL;
		END;
	END LOOP;
END $$`

// Whatever is in the database, no verb writes a control character to a terminal, nor one
// that turns or hides text: not even where a filter or a CHECK at a door has failed.
func TestHostileText(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	names := dnstest.New(t, "*.example. A 192.0.2.1\n*.example. TXT \"v=spf1 -all\"\n")
	run := func(args ...string) string {
		_, out := invoke(t.Context(), args, "DATABASE_URL", f.URL, "ENOTIFY_RESOLVER", names.Addr)
		return out
	}
	f.Enqueue("menu", 3, "a.example", "b.example")
	f.ServeUntil(f.Server("n1", func(_ context.Context, m queue.Message) queue.Outcome {
		if m.Domain == "a.example" {
			return queue.Outcome{State: queue.Bounced, Class: queue.NoSuchUser, Host: "mx.a.example", Site: "a.example",
				Reply: queue.Reply{Code: 550, Enhanced: "5.1.1", Text: "unknown"}}
		}
		return queue.Outcome{State: queue.Deferred, Class: queue.Offline, Reply: queue.Reply{Text: "EOF"}, After: time.Hour}
	}), `SELECT state = 'retrying' FROM enotify.batch`)
	for _, line := range []string{"batch pause 1 --reason tired", "suppression add ann@a.example --reason asked",
		"destination set a.example --rate 20/s --tls verified", "egress add 192.0.2.11 --pool newsletters --helo a.example",
		"webhook add https://a.example/hook", "token add --role postgres --note shop", "spf check town.example",
		"preflight 1 --egress 192.0.2.10 --helo mail.host.example"} {
		run(strings.Fields(line)...)
	}
	f.Exec(hostileSQL)
	if took := queuetest.Query[int](f, `SELECT count(*)::int FROM took`); took < 20 {
		t.Errorf("columns that took hostile text: got %d, want dozens", took)
	}
	shown := 0
	for _, line := range append(reads, "batch list -o json", "batch show 1 -o json", "bounce report -o json", "doctor",
		"batch pause 1", "batch resume 1", "batch cancel 1 --yes", "suppression export") {
		out := run(strings.Fields(line)...)
		if strings.Contains(out, "gpj") {
			shown++
		}
		for i, r := range out {
			if r != '\n' && r != '\t' && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r)) {
				t.Errorf("%s: got %q in %q", line, r, out[max(0, i-80):min(len(out), i+40)])
				break
			}
		}
	}
	if shown < 10 {
		t.Errorf("verbs that showed hostile text, made visible: got %d, want most", shown)
	}
}
