package migrations_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"enotify/queue/queuetest"
)

// Files of functions and views, as their authors write them.
const (
	tableT = `CREATE TABLE enotify.t (a int)`
	double = `
CREATE OR REPLACE FUNCTION enotify.double(n int) RETURNS int LANGUAGE sql IMMUTABLE AS $$ SELECT 2 * n $$;
GRANT EXECUTE ON FUNCTION enotify.double TO enotify_app;`
	doubleOfNumeric = `
CREATE OR REPLACE FUNCTION enotify.double(n numeric) RETURNS numeric LANGUAGE sql IMMUTABLE AS $$ SELECT 2 * n $$;
GRANT EXECUTE ON FUNCTION enotify.double TO enotify_app;`
	twice = `-- after: double
CREATE OR REPLACE VIEW enotify.twice AS SELECT a, enotify.double(a) AS b FROM enotify.t;
GRANT SELECT ON enotify.twice TO enotify_app;`
)

// granted says which of double and twice a role may use.
func granted(t *testing.T, conn *pgx.Conn, role string) string {
	t.Helper()
	return query[string](t, conn, `
		SELECT concat_ws(' ',
			(SELECT proname FROM pg_proc WHERE proname = 'double' AND has_function_privilege($1, oid, 'EXECUTE')),
			CASE WHEN has_table_privilege($1, 'enotify.twice', 'SELECT') THEN 'twice' END)`, role)
}

// A function whose text has changed is applied again, and nothing else; its
// grants stay, and those of operators.
func TestAChangedFunctionIsAppliedAgain(t *testing.T) {
	t.Parallel()
	conn := connect(t, queuetest.Empty(t))
	operators := connect(t, queuetest.Login(t, conn.Config().ConnString())).Config().User
	want := []string{"001_t", "functions/double", "functions/twice"}
	got := mustUp(t, conn, files("001_t", tableT, "functions/double", double, "functions/twice", twice))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("first run (-want +got):\n%s", diff)
	}
	execute(t, conn, `GRANT EXECUTE ON FUNCTION enotify.double TO `+operators)
	changed := strings.Replace(double, "2 * n", "n + n", 1)
	for _, want := range [][]string{{"functions/double"}, nil} {
		got := mustUp(t, conn, files("001_t", tableT, "functions/double", changed, "functions/twice", twice))
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("after a change (-want +got):\n%s", diff)
		}
	}
	if got := query[string](t, conn, `SELECT prosrc FROM pg_proc WHERE proname = 'double'`); got != " SELECT n + n " {
		t.Errorf("body: got %q, want the new one", got)
	}
	for role, want := range map[string]string{"enotify_app": "double twice", operators: "double", "public": ""} {
		if got := granted(t, conn, role); got != want {
			t.Errorf("%s may use %q, want %q", role, got, want)
		}
	}
}

// Where CREATE OR REPLACE cannot do it, the object and what uses it are created
// again: arguments or result of a function, columns of a view, one in place of
// the other. Nothing old stays, and every grant does.
func TestShapesChange(t *testing.T) {
	t.Parallel()
	narrow := strings.Replace(twice, "a, ", "", 1)
	onFunction := func(double string) []string { return []string{"functions/double", double, "functions/twice", twice} }
	for name, test := range map[string]struct {
		change   []string
		applied  []string
		variants string
		grants   string // of the operator
	}{
		"arguments": {onFunction(doubleOfNumeric),
			[]string{"functions/double", "functions/twice"}, "double(numeric)", "double twice"},
		"argument's name": {onFunction(strings.NewReplacer("(n int)", "(m int)", "* n", "* m").Replace(double)),
			[]string{"functions/double", "functions/twice"}, "double(integer)", "double twice"},
		"result": {onFunction(strings.Replace(double, "RETURNS int", "RETURNS bigint", 1)),
			[]string{"functions/double", "functions/twice"}, "double(integer)", "double twice"},
		"columns": {[]string{"functions/double", double, "functions/twice", narrow},
			[]string{"functions/twice"}, "double(integer)", "double twice"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn := connect(t, queuetest.Empty(t))
			operators := connect(t, queuetest.Login(t, conn.Config().ConnString())).Config().User
			mustUp(t, conn, files("001_t", tableT, "functions/double", double, "functions/twice", twice))
			execute(t, conn, `GRANT EXECUTE ON FUNCTION enotify.double TO `+operators,
				`GRANT SELECT ON enotify.twice TO `+operators)
			got := mustUp(t, conn, files(append([]string{"001_t", tableT}, test.change...)...))
			if diff := cmp.Diff(test.applied, got); diff != "" {
				t.Errorf("applied (-want +got):\n%s", diff)
			}
			if got := query[string](t, conn, `
				SELECT string_agg(format('%s(%s)', proname, oidvectortypes(proargtypes)), ' ') FROM pg_proc
				WHERE pronamespace = 'enotify'::regnamespace`); got != test.variants {
				t.Errorf("functions: got %s, want %s", got, test.variants)
			}
			for role, want := range map[string]string{"enotify_app": "double twice", operators: test.grants,
				"public": ""} {
				if got := granted(t, conn, role); got != want {
					t.Errorf("%s may use %q, want %q", role, got, want)
				}
			}
		})
	}
}

// A view of the operator's stops a change that would take it along, in one line
// that names it; and no other change.
func TestWhatIsNotOursIsNotDropped(t *testing.T) {
	t.Parallel()
	conn := connect(t, queuetest.Empty(t))
	mustUp(t, conn, files("001_t", tableT, "functions/double", double, "functions/twice", twice))
	execute(t, conn, `CREATE VIEW public.daily AS SELECT * FROM enotify.twice`)

	wider := strings.Replace(twice, "AS b", "AS b, 1 AS c", 1)
	mustUp(t, conn, files("001_t", tableT, "functions/double", double, "functions/twice", wider))
	_, err := upgrade.UpFS(t.Context(), conn,
		files("001_t", tableT, "functions/double", doubleOfNumeric, "functions/twice", wider))
	want := "migrate: functions/twice must be created again, but view public.daily depends on view enotify.twice: " +
		"drop that, run enotify migrate, and create it again"
	if err == nil || err.Error() != want {
		t.Errorf("got error %v, want %q", err, want)
	}
	if got := query[int](t, conn, `SELECT count(*)::int FROM public.daily`); got != 0 {
		t.Errorf("rows of the operator's view: got %d, want 0", got)
	}
}

func TestFunctionsWithoutAFileAreDropped(t *testing.T) {
	t.Parallel()
	conn := connect(t, queuetest.Empty(t))
	mustUp(t, conn, files("001_t", tableT, "functions/double", double, "functions/twice", twice))
	plain := strings.NewReplacer("-- after: double\n", "", "enotify.double(a)", "a").Replace(twice)
	got := mustUp(t, conn, files("001_t", tableT, "functions/twice", plain))
	if diff := cmp.Diff([]string{"functions/twice", "functions/double (removed)"}, got); diff != "" {
		t.Errorf("applied (-want +got):\n%s", diff)
	}
	if got := query[int](t, conn, `SELECT count(*)::int FROM pg_proc WHERE proname = 'double'`); got != 0 {
		t.Errorf("functions called double: got %d, want 0", got)
	}
}

// A numbered migration drops a view to change what it stands on; the view is made
// again though its file is as it was.
func TestADroppedViewIsCreatedAgain(t *testing.T) {
	t.Parallel()
	conn := connect(t, queuetest.Empty(t))
	objects := []string{"functions/double", double, "functions/twice", strings.Replace(twice, "(a)", "(a::int)", 1)}
	mustUp(t, conn, files(append([]string{"001_t", tableT}, objects...)...))
	got := mustUp(t, conn, files(append([]string{"001_t", tableT, "002_wide",
		`DROP VIEW enotify.twice; ALTER TABLE enotify.t ALTER a TYPE bigint`}, objects...)...))
	if diff := cmp.Diff([]string{"002_wide", "functions/twice"}, got); diff != "" {
		t.Errorf("applied (-want +got):\n%s", diff)
	}
	if got := granted(t, conn, "enotify_app"); got != "double twice" {
		t.Errorf("enotify_app may use %q, want both", got)
	}
}

// A new value of an enumeration may be used by the migrations after it and by
// functions, in one run.
func TestANewValueOfAnEnumerationIsUsed(t *testing.T) {
	t.Parallel()
	conn := connect(t, queuetest.Empty(t))
	mustUp(t, conn, files("001_e", `CREATE TYPE enotify.e AS ENUM ('a')`))
	got := mustUp(t, conn, files("001_e", ``, "002_add", `ALTER TYPE enotify.e ADD VALUE 'b';`,
		"003_use", `CREATE TABLE enotify.u (e enotify.e DEFAULT 'b')`, "functions/last",
		`CREATE OR REPLACE FUNCTION enotify.last() RETURNS enotify.e LANGUAGE sql AS $$ SELECT 'b'::enotify.e $$;`))
	if diff := cmp.Diff([]string{"002_add", "003_use", "functions/last"}, got); diff != "" {
		t.Errorf("applied (-want +got):\n%s", diff)
	}
}

// Bodies are checked when everything they use is there, also those of functions
// that did not change.
func TestBodiesAreChecked(t *testing.T) {
	t.Parallel()
	conn := connect(t, queuetest.Empty(t))
	const (
		first = `CREATE OR REPLACE FUNCTION enotify.first() RETURNS int LANGUAGE sql AS $$ SELECT max(a) FROM enotify.t $$;`
		other = `CREATE OR REPLACE FUNCTION enotify.other() RETURNS int `
	)
	mustUp(t, conn, files("001_t", tableT, "functions/first", first))
	for name, test := range map[string]struct{ migration, body, want string }{
		"SQL": {``, `LANGUAGE sql AS $$ SELECT none FROM enotify.t $$;`, `column "none" does not exist`},
		"PL":  {``, `LANGUAGE plpgsql AS $$ BEGIN RETRUN 1; END $$;`, `syntax error at or near "RETRUN"`},
		"column": {`ALTER TABLE enotify.t RENAME a TO b`, `LANGUAGE sql AS $$ SELECT 1 $$;`,
			`functions/first: ERROR: column "a" does not exist`},
	} {
		_, err := upgrade.UpFS(t.Context(), conn, files("001_t", tableT, "002_x", test.migration,
			"functions/first", first, "functions/other", other+test.body))
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got error %v, want one that says %q", name, err, test.want)
		}
	}
}

func TestUpRefusesBadFunctionFiles(t *testing.T) {
	t.Parallel()
	conn := connect(t, queuetest.Empty(t))
	after := func(name, needs string) string {
		return "-- after: " + needs + "\nCREATE OR REPLACE VIEW enotify." + name + " AS SELECT 1;"
	}
	const want = "want one CREATE OR REPLACE FUNCTION or VIEW enotify."
	for want, fsys := range map[string][]string{
		"functions/a.sql: " + want + "a":     {"functions/a", after("b", "c")},
		"functions/b.sql: " + want + "b":     {"functions/b", "CREATE VIEW enotify.b AS SELECT 1"},
		"functions/two.sql: " + want + "two": {"functions/two", double + "\n" + double},
		"functions/one.sql: " + want + "one": {"functions/one", "SELECT 1"},
		"functions/c.sql: it comes after d, but there is no functions/d.sql": {
			"functions/c", after("c", "d")},
		"functions/e.sql: it comes after itself, by way of f": {
			"functions/e", after("e", "f"), "functions/f", after("f", "e")},
	} {
		if _, err := upgrade.UpFS(t.Context(), conn, files(fsys...)); err == nil || err.Error() != want {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}
