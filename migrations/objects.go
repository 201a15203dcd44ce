package migrations

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const (
	// A numbered migration may drop a function or view; its file is applied again.
	forgetDroppedSQL = `
DELETE FROM enotify.schema_function f
WHERE NOT EXISTS (SELECT FROM pg_proc p WHERE p.pronamespace = 'enotify'::regnamespace AND p.proname = f.name)
  AND NOT EXISTS (
	SELECT FROM pg_class c
	WHERE c.relnamespace = 'enotify'::regnamespace AND c.relname = f.name AND c.relkind = 'v')`
	recordObjectSQL = `
INSERT INTO enotify.schema_function (name, hash) VALUES ($1, $2)
ON CONFLICT (name) DO UPDATE SET hash = excluded.hash, applied_at = now()`
	forgetObjectSQL = `DELETE FROM enotify.schema_function WHERE name = $1`

	// All that has the name: functions that differ in their arguments, and a view.
	variantsSQL = `
SELECT format('FUNCTION %s', p.oid::regprocedure)
FROM pg_proc p WHERE p.pronamespace = 'enotify'::regnamespace AND p.proname = $1
UNION ALL
SELECT format('VIEW %s', c.oid::regclass)
FROM pg_class c WHERE c.relnamespace = 'enotify'::regnamespace AND c.relname = $1 AND c.relkind = 'v'`

	// The files grant to our roles, and PUBLIC has nothing. Other grants are the
	// operator's.
	operatorsGrantsSQL = `
SELECT format('GRANT %s ON %s enotify.%I TO %I%s', a.privilege_type, o.kind, $1::text, r.rolname,
              CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
FROM (
	SELECT 'FUNCTION', p.proacl, p.proowner
	FROM pg_proc p WHERE p.pronamespace = 'enotify'::regnamespace AND p.proname = $1
	UNION ALL
	SELECT 'TABLE', c.relacl, c.relowner
	FROM pg_class c WHERE c.relnamespace = 'enotify'::regnamespace AND c.relname = $1 AND c.relkind = 'v'
) o (kind, acl, owner)
CROSS JOIN aclexplode(o.acl) a JOIN pg_roles r ON r.oid = a.grantee
WHERE a.grantee <> o.owner AND r.rolname <> ALL ($2)`

	validatorsSQL = `
SELECT p.proname, format('SELECT %s(%s)', l.lanvalidator::regproc, p.oid)
FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
WHERE p.pronamespace = 'enotify'::regnamespace AND l.lanvalidator <> 0 ORDER BY p.proname`
)

func forgetDropped(ctx context.Context, tx pgx.Tx) error {
	_, err := tx.Exec(ctx, forgetDroppedSQL)
	return err
}

// replaceObjects applies the functions and views whose files have changed, and
// drops those that have no file any more.
func (want schema) replaceObjects(ctx context.Context, tx pgx.Tx) (applied []string, err error) {
	if err := forgetDropped(ctx, tx); err != nil {
		return nil, err
	}
	now, err := look(ctx, tx)
	if err != nil {
		return nil, err
	}
	grants := map[string][]string{} // of operators, on what was dropped
	for _, o := range want.objects {
		if now.hashes[o.name] == o.hash() {
			continue
		}
		replaced, err := replace(ctx, tx, o)
		if err == nil && !replaced {
			err = want.recreate(ctx, tx, o, now.hashes, grants)
		}
		if err != nil {
			return nil, err
		}
		for _, grant := range grants[o.name] {
			if _, err := tx.Exec(ctx, grant); err != nil {
				return nil, fmt.Errorf("%s: restore what an operator granted: %w", o, err)
			}
		}
		if _, err := tx.Exec(ctx, recordObjectSQL, unprepared, o.name, o.hash()); err != nil {
			return nil, err
		}
		delete(now.hashes, o.name)
		applied = append(applied, o.String())
	}
	for name := range now.hashes {
		if slices.ContainsFunc(want.objects, func(o object) bool { return o.name == name }) {
			continue
		}
		if err := drop(ctx, tx, name); err != nil {
			return nil, err
		}
		if _, err := tx.Exec(ctx, forgetObjectSQL, unprepared, name); err != nil {
			return nil, err
		}
		applied = append(applied, "functions/"+name+" (removed)")
	}
	return applied, checkBodies(ctx, tx)
}

// checkBodies checks functions now that everything they use is there; also those
// that did not change, since a table may have.
func checkBodies(ctx context.Context, tx pgx.Tx) error {
	if _, err := tx.Exec(ctx, `SET LOCAL check_function_bodies = on`); err != nil {
		return err
	}
	rows, _ := tx.Query(ctx, validatorsSQL, unprepared) // CollectRows returns the error
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[struct{ Name, Validate string }])
	if err != nil {
		return err
	}
	for _, f := range all {
		if _, err := tx.Exec(ctx, f.Validate); err != nil {
			return fmt.Errorf("functions/%s: %w", f.Name, err)
		}
	}
	return nil
}

// replace applies o, unless CREATE OR REPLACE cannot: when columns of a view, or
// arguments or result of a function, have changed.
func replace(ctx context.Context, tx pgx.Tx, o object) (done bool, err error) {
	err = pgx.BeginFunc(ctx, tx, func(tx pgx.Tx) error { // a savepoint
		if err := run(ctx, tx, o.String(), o.sql); err != nil {
			return err
		}
		variants, err := variants(ctx, tx, o.name)
		if err == nil && len(variants) != 1 {
			return errNotReplaced
		}
		return err
	})
	if errors.Is(err, errNotReplaced) || isCode(err, "42P13", "42P16", "42725") {
		// invalid_function_definition, invalid_table_definition, ambiguous_function
		return false, nil
	}
	return err == nil, err
}

var errNotReplaced = errors.New("the old one is still there, beside the new one")

// recreate drops o, and the objects that need it, and applies o. The others lose
// their hash, and so are applied in their turn; grants gets what operators had
// granted on all of them.
func (want schema) recreate(
	ctx context.Context, tx pgx.Tx, o object, hashes map[string]string, grants map[string][]string,
) error {
	doomed := append([]object{o}, want.dependents(o.name)...)
	for _, d := range slices.Backward(doomed) {
		rows, _ := tx.Query(ctx, operatorsGrantsSQL, unprepared, d.name, roles) // CollectRows returns the error
		granted, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return err
		}
		grants[d.name] = append(grants[d.name], granted...)
		if err := drop(ctx, tx, d.name); err != nil {
			return err
		}
		hashes[d.name] = ""
	}
	return run(ctx, tx, o.String(), o.sql)
}

// drop drops the functions and the view of a name. An object of the operator's
// that depends on one of them is an error that names it.
func drop(ctx context.Context, tx pgx.Tx, name string) error {
	all, err := variants(ctx, tx, name)
	if err != nil {
		return err
	}
	for _, which := range all {
		_, err := tx.Exec(ctx, `DROP `+which)
		if at := (*pgconn.PgError)(nil); errors.As(err, &at) && at.Code == "2BP01" { // dependent_objects_still_exist
			return fmt.Errorf("functions/%s must be created again, but %s: "+
				"drop that, run enotify migrate, and create it again", name, strings.ReplaceAll(at.Detail, "\n", ", "))
		}
		if err != nil {
			return fmt.Errorf("functions/%s: %w", name, err)
		}
	}
	return nil
}

func variants(ctx context.Context, tx pgx.Tx, name string) ([]string, error) {
	rows, _ := tx.Query(ctx, variantsSQL, unprepared, name) // CollectRows returns the error
	return pgx.CollectRows(rows, pgx.RowTo[string])
}
