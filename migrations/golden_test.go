package migrations_test

import (
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"enotify/migrations"
	"enotify/queue/queuetest"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// dumpSQL describes the schema in lines that are the same on every server from 15
// on. Bodies of functions and views are not among them: they are the files.
const dumpSQL = `
WITH n AS (
	SELECT 'enotify'::regnamespace AS oid
), acl AS MATERIALIZED (
	SELECT o.class, o.id, o.sub, string_agg(format('%s: %s', a.grantee, a.rights), ', ' ORDER BY a.grantee) AS text
	FROM (
		SELECT 'r', c.oid, 0, c.relacl, c.relowner FROM pg_class c, n WHERE c.relnamespace = n.oid
		UNION ALL
		SELECT 'r', c.oid, a.attnum, a.attacl, c.relowner
		FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid, n WHERE c.relnamespace = n.oid
		UNION ALL
		SELECT 'f', p.oid, 0, coalesce(p.proacl, acldefault('f', p.proowner)), p.proowner
		FROM pg_proc p, n WHERE p.pronamespace = n.oid
		UNION ALL
		SELECT 'n', s.oid, 0, s.nspacl, s.nspowner FROM pg_namespace s, n WHERE s.oid = n.oid
	) o (class, id, sub, acl, owner)
	CROSS JOIN LATERAL (
		SELECT coalesce(r.rolname, 'PUBLIC') AS grantee,
		       string_agg(x.privilege_type, ' ' ORDER BY x.privilege_type) AS rights
		FROM aclexplode(o.acl) x LEFT JOIN pg_roles r ON r.oid = x.grantee WHERE x.grantee <> o.owner GROUP BY 1
	) a
	GROUP BY 1, 2, 3
), line (part, name, sub, n, text) AS (
	SELECT 1, '', 0, 0::bigint, concat_ws(' | ', 'schema enotify', 'grants ' || acl.text)
	FROM n LEFT JOIN acl ON acl.class = 'n'
	UNION ALL
	SELECT 2, t.typname, 0, 0, format('type %s: %s', t.typname,
	           (SELECT string_agg(e.enumlabel, ' ' ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = t.oid))
	FROM pg_type t, n WHERE t.typnamespace = n.oid AND t.typtype = 'e'
	UNION ALL
	SELECT CASE c.relkind WHEN 'v' THEN 4 ELSE 3 END, c.relname, 0, 0,
	       concat_ws(' | ', CASE c.relkind WHEN 'v' THEN 'view ' ELSE 'table ' END || c.relname,
	           array_to_string(c.reloptions, ' '), 'grants ' || acl.text)
	FROM pg_class c CROSS JOIN n LEFT JOIN acl ON acl.class = 'r' AND acl.id = c.oid AND acl.sub = 0
	WHERE c.relnamespace = n.oid AND c.relkind IN ('r', 'v')
	UNION ALL
	SELECT CASE c.relkind WHEN 'v' THEN 4 ELSE 3 END, c.relname, 1, a.attnum,
	       concat_ws(' | ', format('    %s %s', a.attname, format_type(a.atttypid, a.atttypmod)),
	           CASE WHEN a.attnotnull THEN 'not null' END, CASE a.attidentity WHEN 'a' THEN 'always an identity' END,
	           'default ' || pg_get_expr(d.adbin, d.adrelid), 'grants ' || acl.text)
	FROM pg_class c CROSS JOIN n JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
	LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
	LEFT JOIN acl ON acl.class = 'r' AND acl.id = c.oid AND acl.sub = a.attnum
	WHERE c.relnamespace = n.oid AND c.relkind IN ('r', 'v')
	UNION ALL
	SELECT 3, c.relname, 2, row_number() OVER (ORDER BY k.conname),
	       format('    constraint %s %s', k.conname, pg_get_constraintdef(k.oid))
	FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid, n WHERE k.connamespace = n.oid AND k.contype <> 'n'
	UNION ALL
	SELECT 3, c.relname, 3, row_number() OVER (ORDER BY x.relname), '    ' || pg_get_indexdef(i.indexrelid)
	FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid JOIN pg_class x ON x.oid = i.indexrelid, n
	WHERE c.relnamespace = n.oid
	  AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = x.oid AND k.contype IN ('p', 'u'))
	UNION ALL
	SELECT 3, c.relname, 4, row_number() OVER (ORDER BY t.tgname), '    ' || pg_get_triggerdef(t.oid)
	FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid, n WHERE c.relnamespace = n.oid AND NOT t.tgisinternal
	UNION ALL
	SELECT 5, p.proname, 0, row_number() OVER (ORDER BY p.oid),
	       concat_ws(' | ', format('function %s(%s)', p.proname, pg_get_function_arguments(p.oid)),
	           'returns ' || pg_get_function_result(p.oid), l.lanname,
	           CASE p.provolatile WHEN 'i' THEN 'immutable' WHEN 's' THEN 'stable' END,
	           CASE WHEN p.proisstrict THEN 'strict' END, CASE p.proparallel WHEN 's' THEN 'parallel safe' END,
	           CASE WHEN p.prosecdef THEN 'security definer' END,
	           array_to_string(p.proconfig, ' '), 'grants ' || acl.text)
	FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang CROSS JOIN n
	LEFT JOIN acl ON acl.class = 'f' AND acl.id = p.oid WHERE p.pronamespace = n.oid
)
SELECT string_agg(text || E'\n', '' ORDER BY part, name COLLATE "C", sub, n) FROM line`

// dump describes the schema of a database.
func dump(t *testing.T, conn *pgx.Conn) string {
	t.Helper()
	// Constraints are written as the session reads them.
	execute(t, conn, `SET standard_conforming_strings = on; SET search_path = pg_catalog`)
	defer execute(t, conn, `RESET standard_conforming_strings; RESET search_path`)
	return query[string](t, conn, dumpSQL)
}

// The schema is the one that was agreed on: a change of it shows here.
func TestGolden(t *testing.T) {
	t.Parallel()
	const file = "testdata/schema.txt"
	got := dump(t, connect(t, queuetest.New(t)))
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("the schema differs from %s; -update rewrites it (-want +got):\n%s", file, diff)
	}
}

// releasedFault says which released file has changed since, or that functions
// have changed and no number says so; "" when all is as released.
//
// Each line of released has the number of a release's last migration, and the
// hashes of its numbered files and of its functions.
func releasedFault(fsys fs.FS, released string) (string, error) {
	paths, err := fs.Glob(fsys, "*.sql")
	if err != nil {
		return "", err
	}
	functions, err := fs.Glob(fsys, "functions/*.sql")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(released) {
		var version int
		var numbered, functionsThen string
		if _, err := fmt.Sscan(line, &version, &numbered, &functionsThen); err != nil {
			return "", fmt.Errorf("%q: %w", line, err)
		}
		if version > len(paths) {
			return fmt.Sprintf("version %d was released, and there are %d numbered files", version, len(paths)), nil
		}
		if now, err := hashOf(fsys, paths[:version]); err != nil || now != numbered {
			return fmt.Sprintf("a numbered file up to %03d was changed after its release", version), err
		}
		if now, err := hashOf(fsys, functions); version == len(paths) && (err != nil || now != functionsThen) {
			return fmt.Sprintf("functions have changed since %03d was released: add a numbered file", version), err
		}
	}
	return "", nil
}

func hashOf(fsys fs.FS, paths []string) (string, error) {
	h := sha256.New()
	for _, p := range paths {
		text, err := fs.ReadFile(fsys, p)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(h, "%s %d\n%s", p, len(text), text)
	}
	return hex.EncodeToString(h.Sum(nil)[:8]), nil
}

// Released files stay as they are, and a release that changes functions has a
// number of its own: an older enotify, which refuses a newer number, would put its
// own functions back.
func TestReleasedFilesStay(t *testing.T) {
	t.Parallel()
	released, err := os.ReadFile("testdata/released.txt")
	if err != nil {
		t.Fatal(err)
	}
	if fault, err := releasedFault(migrations.Files, string(released)); fault != "" || err != nil {
		t.Errorf("got %q (error %v), want all as released", fault, err)
	}

	then := []string{"001_a", "SELECT 1", "functions/f", "x"}
	numbered, _ := hashOf(files(then...), []string{"001_a.sql"})
	functions, _ := hashOf(files(then...), []string{"functions/f.sql"})
	line := fmt.Sprintf("1 %s %s\n", numbered, functions)
	for want, now := range map[string][]string{
		"": then,
		"a numbered file up to 001 was changed after its release":            {"001_a", "SELECT 2", "functions/f", "x"},
		"functions have changed since 001 was released: add a numbered file": {"001_a", "SELECT 1", "functions/f", "y"},
		"version 1 was released, and there are 0 numbered files":             {"functions/f", "x"},
	} {
		if got, err := releasedFault(files(now...), line); got != want || err != nil {
			t.Errorf("got %q (error %v), want %q", got, err, want)
		}
	}
	withNumber := files("001_a", "SELECT 1", "002_functions", "-- f", "functions/f", "y")
	if got, err := releasedFault(withNumber, line); got != "" || err != nil {
		t.Errorf("changed functions with a number: got %q (error %v), want none", got, err)
	}
}
