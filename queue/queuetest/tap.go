package queuetest

import (
	"io"
	"maps"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"
)

// A Tap stands between a program and its database, and counts the statements that
// the program sends.
type Tap struct {
	URL string // for the program

	mu    sync.Mutex
	count map[string]int // by the text of the statement
	held  chan struct{}  // connections that come in wait for its end; nil: they do not
}

// NewTap passes connections on to the server of a URL until the test ends.
func NewTap(tb testing.TB, server string) *Tap {
	tb.Helper()
	u := parse(tb, server)
	host, _, _ := strings.Cut(u.Host, ",")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = listener.Close() })
	u.Host = listener.Addr().String()
	query := u.Query()
	query.Set("sslmode", "disable") // what is encrypted cannot be counted
	u.RawQuery = query.Encode()
	t := &Tap{URL: u.String(), count: map[string]int{}}
	go func() {
		for {
			program, err := listener.Accept()
			if err != nil {
				return
			}
			go t.pass(program, host)
		}
	}()
	return t
}

// Hold has connections that come in wait until resume is called.
func (t *Tap) Hold() (resume func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	held := make(chan struct{})
	t.held = held
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.held = nil
		close(held)
	}
}

// Count returns how often each statement was sent since the last call. One that is
// empty, such as a ping of the pool, counts too: it is a round trip.
func (t *Tap) Count() map[string]int {
	t.mu.Lock()
	defer t.mu.Unlock()
	count := maps.Clone(t.count)
	clear(t.count)
	return count
}

func (t *Tap) note(sql string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.count[strings.TrimSpace(sql)]++
}

func (t *Tap) pass(program net.Conn, host string) {
	defer program.Close()
	t.mu.Lock()
	held := t.held
	t.mu.Unlock()
	if held != nil {
		<-held
	}
	server, err := net.Dial("tcp", host)
	if err != nil {
		return
	}
	defer server.Close()
	go func() {
		defer program.Close()
		_, _ = io.Copy(program, server)
	}()
	// What the program says is read twice: as it is, by the server, and here.
	said, copied := io.Pipe()
	defer copied.Close()
	go t.read(said)
	_, _ = io.Copy(server, io.TeeReader(program, copied))
}

// read counts the statements of one connection: simple queries, and executions of
// prepared ones.
func (t *Tap) read(said *io.PipeReader) {
	defer io.Copy(io.Discard, said) //nolint:errcheck // what cannot be read is passed on all the same
	backend := pgproto3.NewBackend(said, io.Discard)
	if _, err := backend.ReceiveStartupMessage(); err != nil {
		return
	}
	_ = backend.SetAuthType(pgproto3.AuthTypeSASLContinue) // it takes answers to any question about a password
	prepared, bound := map[string]string{}, ""
	for {
		message, err := backend.Receive()
		if err != nil {
			return
		}
		switch m := message.(type) {
		case *pgproto3.Query:
			t.note(m.String)
		case *pgproto3.Parse:
			prepared[m.Name] = m.Query
		case *pgproto3.Bind:
			bound = prepared[m.PreparedStatement]
		case *pgproto3.Execute:
			t.note(bound)
		}
	}
}
