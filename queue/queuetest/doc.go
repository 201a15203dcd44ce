// Package queuetest gives each test a PostgreSQL database of its own, and a
// [Fixture] of nodes that send from one.
//
// The databases are copies of one that was migrated once (a template, named
// after [migrations.Hash]), which takes milliseconds. They are on a private
// server of the test process, or on the one that ENOTIFY_TEST_DATABASE_URL
// names, whose login must be a superuser. Without either the tests fail:
// none is skipped.
//
// A package whose tests use it should have
//
//	func TestMain(m *testing.M) { queuetest.Main(m) }
//
// so that nothing of the private server is left on the disk. What a process
// leaves that lacks it, or was killed, the next one removes.
//
// Roles belong to the server, not to a database: the roles of the migrations
// (enotify_app, …) are shared by all tests. A test changes no role but those
// it has of [Login].
package queuetest
