package migrations

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// roles are those that the schema grants rights to. They belong to the whole
// cluster: another database, or an administrator, may have made them before.
var roles = []string{"enotify_app", "enotify_admin", "enotify_sender"}

const (
	missingRolesSQL = `SELECT r FROM unnest($1::text[]) r WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = r)`
	createSchemaSQL = `CREATE SCHEMA enotify`
	createTablesSQL = `
CREATE TABLE enotify.schema_version (
	version    int         PRIMARY KEY,
	name       text        NOT NULL,
	applied_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE  enotify.schema_version IS 'numbered migrations applied to this database';
COMMENT ON COLUMN enotify.schema_version.version IS 'number of the migration';
COMMENT ON COLUMN enotify.schema_version.name IS 'its name, without the number';
COMMENT ON COLUMN enotify.schema_version.applied_at IS 'when it was applied';
CREATE TABLE enotify.schema_function (
	name       text        PRIMARY KEY,
	hash       text        NOT NULL,
	applied_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE  enotify.schema_function IS
	'functions and views applied to this database; one whose file has changed since is applied again';
COMMENT ON COLUMN enotify.schema_function.name IS 'name of the function or view';
COMMENT ON COLUMN enotify.schema_function.hash IS 'hash of the file applied last: the first 64 bits of its SHA-256';
COMMENT ON COLUMN enotify.schema_function.applied_at IS 'when it was applied'`
)

// found makes the roles, the schema, and the tables that say what was applied.
// When a right is missing, the error names it, and nothing is made.
func found(ctx context.Context, tx pgx.Tx, now standing) error {
	if now.founded {
		return nil
	}
	if err := createRoles(ctx, tx, now); err != nil {
		return err
	}
	if now.owner == "" {
		_, err := tx.Exec(ctx, createSchemaSQL)
		switch {
		case isCode(err, "23505", "42P06"): // unique_violation of the catalog, duplicate_schema
			return errMadeMeanwhile
		case isCode(err, "42501"): // insufficient_privilege
			return fmt.Errorf("login %s may not create the schema enotify in database %s: as the owner of the database, "+
				"GRANT CREATE ON DATABASE %s TO %s, then run enotify migrate", now.login, now.database,
				pgx.Identifier{now.database}.Sanitize(), pgx.Identifier{now.login}.Sanitize())
		case err != nil:
			return err
		}
	}
	if _, err := tx.Exec(ctx, ownerSQL); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, createTablesSQL)
	if isCode(err, "23505", "42P07", "42710") { // the same of a table or its type
		return errMadeMeanwhile
	}
	return err
}

// createRoles makes the roles that are missing. Only then must the login be
// allowed to create roles.
func createRoles(ctx context.Context, tx pgx.Tx, now standing) error {
	rows, _ := tx.Query(ctx, missingRolesSQL, unprepared, roles) // CollectRows returns the error
	missing, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	for _, role := range missing {
		_, err := tx.Exec(ctx, `CREATE ROLE `+role+` NOLOGIN`)
		switch {
		case isCode(err, "23505", "42710"): // unique_violation of the catalog, duplicate_object: by another database
			return errMadeMeanwhile
		case isCode(err, "42501"): // insufficient_privilege
			return fmt.Errorf("login %s may not create roles, and %s are missing: as a superuser, "+
				"CREATE ROLE %s NOLOGIN, then run enotify migrate",
				now.login, strings.Join(missing, ", "), strings.Join(missing, " NOLOGIN; CREATE ROLE "))
		case err != nil:
			return err
		}
	}
	return nil
}
