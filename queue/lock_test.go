package queue_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"enotify/queue/queuetest"
)

// An application has called all that it may and does not end its transaction: a
// batch under way was submitted and enqueued once more, with others, and it holds
// advisory locks. Nothing that the engine, an operator or a migration locks has to
// wait for it, and its batch is sent meanwhile.
func TestApplicationsHoldNoLockThatTheEngineWaitsFor(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	batch := f.Enqueue("menu", 3, "a.example")
	app := queuetest.Connect(t, queuetest.Login(t, f.URL, "enotify_app"))
	for _, sql := range []string{
		`BEGIN`,
		`SELECT enotify.submit_batch(1), enotify.submit_batch(1, 3)`,
		`SELECT enotify.enqueue('menu', 'info@town.example', 's', 't', '{x@a.example}')`,
		`SELECT enotify.enqueue('other', 'info@town.example', 's', 't', '{x@a.example}')`,
		`SELECT enotify.create_batch('menu', 'info@town.example', 's')`,
		`SELECT enotify.add_attachment(enotify.create_batch('draft', 'info@town.example', 's'), 'a.txt', 'x')`,
		`SELECT enotify.add_recipients(enotify.create_batch('draft', 'info@town.example', 's'), '{x@a.example}')`,
		`SELECT * FROM enotify.batch_status, enotify.delivery`,
		`SELECT * FROM enotify.schema_version, enotify.schema_function`,
		`SELECT pg_advisory_xact_lock(x'656e6f74696679'::bigint), pg_advisory_xact_lock(x'656e6f7475726e'::bigint)`,
		`SELECT pg_advisory_xact_lock(c, i)
		 FROM unnest('{1701736294,1701736295,1701736306,1701736308,1701737072}'::int[]) c, generate_series(0, 99) i`,
	} {
		if _, err := app.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	f.Exec(`SET lock_timeout = '1ms'`)
	for _, sql := range []string{
		`SELECT FROM enotify.engine_lock FOR UPDATE`,
		`SELECT FROM enotify.client FOR NO KEY UPDATE`,
		`SELECT FROM enotify.batch FOR UPDATE`,
		`SELECT FROM enotify.domain FOR NO KEY UPDATE`,
		`SELECT FROM enotify.lease FOR UPDATE`,
		`LOCK TABLE enotify.schema_version IN EXCLUSIVE MODE`,
	} {
		f.Exec(`BEGIN`)
		f.Exec(sql)
		f.Exec(`ROLLBACK`)
	}
	f.Exec(`RESET lock_timeout`)
	f.Serve(f.Server("n1", queuetest.Deliver))
	if got, want := f.States(batch), map[string]int{"delivered": 3}; !cmp.Equal(got, want) {
		t.Errorf("states while the application idles: got %v, want %v", got, want)
	}
}

// An application can lock no row of the engine, and call nothing that does.
func TestApplicationsCannotLockForTheEngine(t *testing.T) {
	t.Parallel()
	f, app := confined(t)
	for _, sql := range []string{
		`SELECT FROM enotify.engine_lock FOR UPDATE`,
		`SELECT FROM enotify.engine_lock FOR KEY SHARE`,
		`DO $$ BEGIN LOCK TABLE enotify.engine_lock IN ACCESS SHARE MODE; END $$`,
		`DO $$ BEGIN LOCK TABLE enotify.schema_version IN ROW SHARE MODE; END $$`,
		`SELECT FROM enotify.schema_version FOR KEY SHARE`,
		`SELECT FROM enotify.client FOR KEY SHARE`,
	} {
		queuetest.Refused(t, app, sql, "permission denied")
	}
	calls := names(f, `
		SELECT p.proname::text FROM pg_proc p
		WHERE p.pronamespace = 'enotify'::regnamespace AND has_function_privilege($1, p.oid, 'EXECUTE')
		AND p.prosrc ~ '(lock_(turn|survey|nodes|results|report)|write_results|engine_lock)'`, app.Config().User)
	if len(calls) > 0 {
		t.Errorf("functions of applications that take a lock of the engine: got %v, want none", calls)
	}
}
