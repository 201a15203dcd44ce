package queuetest

import (
	"context"
	"testing"

	"enotify/queue/localpg"
)

// An OwnServer is a fixture on a PostgreSQL of its own, which the test may stop,
// kill, copy or fill. The files are on disk, in Dir; Dir/data is the data folder.
type OwnServer struct {
	*Fixture
	Dir        string
	PostgreSQL *localpg.Server

	unsafe bool
}

// NewOwnServer starts a server whose database is migrated and has the client
// town.example. With unsafe the server commits without waiting for the disk. The
// server is stopped, and Dir removed, when the test ends. Errors of the guard do
// not fail the test, since its database may be away.
func NewOwnServer(t *testing.T, unsafe bool) *OwnServer {
	t.Helper()
	dir := OwnDir(t, true)
	o := &OwnServer{Fixture: &Fixture{T: t, Deaf: true}, Dir: dir, unsafe: unsafe}
	o.start()
	t.Cleanup(func() { _ = o.PostgreSQL.Stop(context.Background()) }) // the test may have stopped it
	o.URL = o.PostgreSQL.URL()
	o.Conn = Connect(t, o.URL)
	o.DB = Open(t, o.URL)
	o.Exec(`INSERT INTO enotify.client (domain) VALUES ('town.example')`)
	return o
}

// Restart starts the server again after the test has stopped it, at the same URL.
func (o *OwnServer) Restart() {
	o.Helper()
	o.start()
	if got := o.PostgreSQL.URL(); got != o.URL {
		o.Fatalf("URL of the server that was started again: got %s, want %s", got, o.URL)
	}
}

func (o *OwnServer) start() {
	o.Helper()
	server, err := localpg.Start(o.Context(), localpg.Options{Dir: o.Dir, Unsafe: o.unsafe})
	if err != nil {
		o.Fatal(err)
	}
	o.PostgreSQL = server
}

// Durable starts a server that waits for its disk, and returns the URL of its migrated
// database. The server is stopped when the test or benchmark ends.
func Durable(tb testing.TB) (url string) {
	tb.Helper()
	server, err := localpg.Start(tb.Context(), localpg.Options{Ephemeral: true})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = server.Stop(context.Background()) })
	if err := migrate(tb.Context(), server.URL()); err != nil {
		tb.Fatal(err)
	}
	return server.URL()
}
