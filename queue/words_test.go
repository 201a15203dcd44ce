package queue_test

import (
	"errors"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"enotify/queue/queuetest"
)

// What an application says wrong in SQL, the message says in words: no name of a
// constraint or column of ours.
func TestSQLErrorsAreInWords(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	app := queuetest.Connect(t, queuetest.Login(t, f.URL, "enotify_app"))
	var draft int64
	if err := app.QueryRow(t.Context(), `SELECT enotify.create_batch('draft', 'info@town.example', 's', 't')`).Scan(&draft); err != nil {
		t.Fatal(err)
	}
	jargon := regexp.MustCompile(`violates|null value|relation|constraint|_check|record "|duplicate key`)
	create := func(args string) string {
		return `SELECT enotify.create_batch('k', 'info@town.example', 's', 't', ` + args + `)`
	}
	for _, sql := range []string{
		`SELECT enotify.create_batch(NULL, 'info@town.example', 's', 't')`,
		`SELECT enotify.create_batch('', 'info@town.example', 's', 't')`,
		`SELECT enotify.create_batch(repeat('k', 201), 'info@town.example', 's', 't')`,
		`SELECT enotify.create_batch('k', NULL, 's', 't')`, `SELECT enotify.create_batch('k', 'info', 's', 't')`,
		`SELECT enotify.create_batch('k', E'info@town.example\r\nBcc: x@y', 's', 't')`,
		`SELECT enotify.create_batch('k', 'info@town.example', NULL, 't')`,
		`SELECT enotify.create_batch('k', 'info@town.example', E'L\r\nBcc: x', 't')`,
		`SELECT enotify.create_batch('k', 'info@town.example', repeat('s', 901), 't')`,
		`SELECT enotify.create_batch('k', 'info@town.example', 's', repeat('t', 2097153))`,
		`SELECT enotify.create_batch('k', 'info@nowhere.example', 's', 't')`,
		create(`from_name => E'a\nb'`), create(`from_name => repeat('a', 201)`),
		create(`reply_to => E'a@b.example\r\nX: y'`), create(`list_unsubscribe => 'ftp://x'`),
		create(`headers => '[]'`), create(`headers => '{"X Y": "z"}'`),
		create(`headers => '{"X-Y": "a\r\nb"}'`), create(`not_before => 'infinity'`),
		create(`expires_at => '-infinity'`), create(`on_unknown => 'guess'`), create(`lang => 'german!'`),
		create(`priority => 99`),
		`SELECT enotify.add_recipients(NULL, '{a@b.example}')`, `SELECT enotify.add_recipients(99, '{a@b.example}')`,
		`SELECT enotify.add_recipients($draft, '{a@b.example,b@b.example}', ARRAY['{}']::jsonb[])`,
		`SELECT enotify.add_attachment($draft, '', 'x')`, `SELECT enotify.add_attachment($draft, NULL, 'x')`,
		`SELECT enotify.add_attachment($draft, 'a"b', 'x')`,
		`SELECT enotify.add_attachment($draft, 'a', 'x', 'nonsense')`,
		`SELECT enotify.add_attachment($draft, 'a', NULL)`,
		`SELECT enotify.submit_batch(NULL)`, `SELECT enotify.submit_batch($draft, 5)`,
		`SELECT enotify.enqueue('e', 'info@town.example', E's\n', 't', '{a@b.example}')`,
	} {
		_, err := app.Exec(t.Context(), strings.ReplaceAll(sql, "$draft", "1"))
		said := (*pgconn.PgError)(nil)
		if !errors.As(err, &said) {
			t.Errorf("%s: got %v, want it refused", sql, err)
			continue
		}
		if jargon.MatchString(said.Message) || said.ConstraintName != "" {
			t.Errorf("%s: got %q (constraint %q), want it in words", sql, said.Message, said.ConstraintName)
		}
	}
}
