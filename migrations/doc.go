// Package migrations holds the schema of enotify as SQL files and brings a
// database up to date with them.
//
// # Where things are
//
//	001_types.sql … 008_events.sql   roles' grants, types, tables: what holds data
//	functions/NAME.sql               one function or view each: its body, comment,
//	                                 triggers and grants
//
// So "where is submit_batch?" has one answer: functions/submit_batch.sql. A
// numbered file is applied once. A file of functions/ is applied again whenever
// its text has changed; the table enotify.schema_function keeps the hash of the
// text applied last. The comments on tables, columns and functions are the
// documentation of the schema: \d+ enotify.batch in psql.
//
// # To change a function or a view
//
// Edit its file in functions/, and no other. The file has one statement
//
//	CREATE OR REPLACE FUNCTION enotify.NAME
//
// (or VIEW), and after it COMMENT, CREATE OR REPLACE TRIGGER where it is a
// trigger's function, and GRANT. What must stand in it, tests check:
//
//   - SECURITY DEFINER comes with SET search_path = pg_catalog, pg_temp.
//   - A literal with a backslash is written E'\\s', so that it means the same in
//     a session with standard_conforming_strings off.
//   - EXECUTE for PUBLIC, which PostgreSQL grants by default, is revoked at the
//     end of each migration. A GRANT to a role stays when a function is replaced:
//     to take it away, write REVOKE.
//
// Functions may be applied in any order, because their bodies are checked after
// all of them are there. A view, and a function whose arguments or result name a
// view, need what they use before: the first line says so, as in
//
//	-- after: my_clients
//
// A view may change its columns, and a function its arguments or result: when
// CREATE OR REPLACE cannot do that, the object and those that come after it are
// dropped and created again in the same transaction, with the grants that
// operators gave. Nothing is dropped by CASCADE: a view of the operator's that
// depends on it stops the migration, with a line that names it. To remove a
// function or view, remove its file.
//
// # To change a table
//
// Until the first release edit the numbered files; nothing older is to be kept.
// A released file never changes (testdata/released.txt lists their hashes): add a
// file with the next number, 009_name.sql, with the ALTER TABLE, the COMMENT of
// each new column and the GRANTs of each new table. Then update the golden
// dump, which shows the effect on the schema:
//
//	go test ./migrations -run Golden -update
//
// One file alters one table where that can be: a transaction that waits for its
// second lock already holds the first. A column's type under a view cannot
// change: write DROP VIEW enotify.NAME before it, and the view is created again
// from its file. A value added to an enumeration is committed before the files
// that come after it, since PostgreSQL refuses to use it earlier. A release that
// changes only functions has a numbered file too, even if it holds but a comment:
// the number keeps an older enotify from putting its older functions back.
//
// Where two branches have changed the dump, take either side and run that again.
//
// Column order: tables with a row per recipient or domain have their columns by
// alignment, 8 octets, then 4, then 2, then texts, so that none is lost to
// padding; the others in reading order. A column added later stands at the end.
//
// # How a migration runs
//
// One transaction applies all that is missing, so that a database is never half
// migrated (a new value of an enumeration ends one early). Whoever migrates holds
// a lock on enotify.schema_version, which no application can take: callers at the
// same time take turns. A database that is up to date is only read.
//
// Tables in use are locked for at most [LockTimeout] while waiting: everybody who
// comes after us waits behind us for as long. Then the transaction gives up and
// is tried again after a pause, until [Upgrade.Patience] ends: an idle transaction
// of an application delays a migration, and never the others. The error names
// who holds the lock.
package migrations
