package migrations_test

import (
	"io/fs"
	"iter"
	"path"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"enotify/migrations"
	"enotify/queue/queuetest"
)

// eachFile yields the SQL files of the schema.
func eachFile() iter.Seq2[string, string] {
	return func(yield func(name, text string) bool) {
		for _, pattern := range []string{"*.sql", "functions/*.sql"} {
			paths, _ := fs.Glob(migrations.Files, pattern)
			for _, p := range paths {
				text, err := fs.ReadFile(migrations.Files, p)
				if err != nil || !yield(p, string(text)) {
					return
				}
			}
		}
	}
}

var (
	comment = regexp.MustCompile(`(?m)--.*$`)
	literal = regexp.MustCompile(`(?s)([EeUu]?&?)'((?:[^'\\]|''|\\.)*)'`)
)

// plainBackslashes lists literals whose meaning depends on
// standard_conforming_strings.
func plainBackslashes(sql string) (bad []string) {
	for _, m := range literal.FindAllStringSubmatch(comment.ReplaceAllString(sql, ""), -1) {
		if strings.Contains(m[2], `\`) && m[1] != "E" || strings.HasSuffix(m[1], "&") {
			bad = append(bad, m[0])
		}
	}
	return bad
}

// Bodies of functions are read again in each session, with its settings.
func TestLiteralsOfFunctionsMeanTheSameInEverySession(t *testing.T) {
	t.Parallel()
	for name, text := range eachFile() {
		if path.Dir(name) != "functions" {
			continue
		}
		if bad := plainBackslashes(text); bad != nil {
			t.Errorf(`%s: got %q, want E'…' with \\ for each \`, name, bad)
		}
	}
	got := plainBackslashes(`SELECT '\s', E'\\s', 'it''s \d', U&'\0009', 'plain' -- '\d'`)
	if diff := cmp.Diff([]string{`'\s'`, `'it''s \d'`, `U&'\0009'`}, got); diff != "" {
		t.Errorf("the rule itself (-want +got):\n%s", diff)
	}
}

func TestLinesAreShort(t *testing.T) {
	t.Parallel()
	for name, text := range eachFile() {
		for i, line := range strings.Split(text, "\n") {
			if n := len([]rune(line)); n > 120 {
				t.Errorf("%s:%d: got %d columns, want at most 120", name, i+1, n)
			}
		}
	}
}

// A function that runs with the rights of the owner looks up names where nobody
// else may put any.
func TestSecurityDefinerHasASearchPath(t *testing.T) {
	t.Parallel()
	got := query[string](t, connect(t, queuetest.New(t)), `
		SELECT coalesce(string_agg(proname, ' '), '') FROM pg_proc
		WHERE pronamespace = 'enotify'::regnamespace AND prosecdef
		AND NOT coalesce('search_path=pg_catalog, pg_temp' = ANY (proconfig), false)`)
	if got != "" {
		t.Errorf("SECURITY DEFINER without SET search_path = pg_catalog, pg_temp: got %s, want none", got)
	}
}

// With standard_conforming_strings off, the schema is the same and its functions
// say the same of every address.
func TestStandardConformingStringsOff(t *testing.T) {
	t.Parallel()
	on, database := connect(t, queuetest.New(t)), queuetest.Empty(t)
	before := connect(t, database)
	execute(t, before, `ALTER DATABASE `+before.Config().Database+` SET standard_conforming_strings = off`)
	off := connect(t, database)
	if _, err := migrations.Up(t.Context(), off); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(dump(t, on), dump(t, off)); diff != "" {
		t.Errorf("schema with the setting on and off (-on +off):\n%s", diff)
	}
	const judged = `
		SELECT string_agg(
			concat_ws('|', m, enotify.mailbox(m), enotify.mailbox_problem(enotify.mailbox(m))), ' ; ' ORDER BY n)
		FROM unnest($1::text[]) WITH ORDINALITY AS a (m, n)`
	addresses := []string{"ada@b.example", " Ada.L+menu@B.EXAMPLE\r\n", "a..b@c.example", "x@bücher.example",
		"x@bücher。example", `"a b"@c.example`, "a b@c.example", "x@[192.0.2.1]", "x@1.2.3", "x@-a.example",
		"x@a.example.",
		"a@b@c.example", "as@d", `a\b@c.example`, `"\""@c.example`, "a\x01@c.example", "\u00a0a@b.example\ufeff",
		"日本@日本.example", "xsy@a.example", "\u200b'x@b.example", "x\u200b@b.example", "<a@b.example>,", "#NAME?",
		`=HYPERLINK("mailto:a@b.example","A")`}
	if diff := cmp.Diff(query[string](t, on, judged, addresses), query[string](t, off, judged, addresses)); diff != "" {
		t.Errorf("addresses with the setting on and off (-on +off):\n%s", diff)
	}
	execute(t, off, `INSERT INTO enotify.client (domain) VALUES ('town.example')`,
		`SELECT enotify.enqueue('k', 'info@town.example', 's', 't', '{x@a.example,a b@c.example}')`)
	got, want := query[string](t, off, `SELECT string_agg(state, ' ' ORDER BY seq) FROM enotify.delivery`), "pending invalid"
	if got != want {
		t.Errorf("states of what was enqueued: got %q, want %q", got, want)
	}
}
