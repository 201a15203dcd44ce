package listen_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"enotify/cmd/enotify/listen"
)

// serve answers requests at a bounded listener; those for /hang until the test ends, and
// those for /known too, of somebody who is known.
func serve(t *testing.T, b listen.Bounds, secure bool) *httptest.Server {
	t.Helper()
	ended := make(chan struct{})
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if q.URL.Path == "/known" {
			listen.Known(q.Context())
		}
		fmt.Fprintln(w, "here")
		if q.URL.Path != "/" {
			_ = http.NewResponseController(w).Flush()
			select {
			case <-ended:
			case <-q.Context().Done():
			}
		}
	}))
	l := listen.Bound(server.Listener, b)
	server.Listener, server.Config.ConnState, server.Config.ConnContext = l, l.State, l.Context
	if secure {
		server.StartTLS()
	} else {
		server.Start()
	}
	t.Cleanup(server.Close)
	t.Cleanup(func() { close(ended) })
	return server
}

// dial connects from an address of loopback.
func dial(t *testing.T, server *httptest.Server, from string) net.Conn {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: 10 * time.Second}
	c, err := d.DialContext(t.Context(), "tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	return c
}

// ask sends a request and reads the first line of the answer.
func ask(c net.Conn, path string) (line string, err error) {
	if _, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path); err != nil {
		return "", err
	}
	return bufio.NewReader(c).ReadString('\n')
}

const ok = "HTTP/1.1 200 OK\r\n"

// Connections without a request make room, of the address that has the most first; one with
// a request goes on.
func TestIdleConnectionsKeepNobodyOut(t *testing.T) {
	t.Parallel()
	server := serve(t, listen.Bounds{Most: 6, OfOne: 4}, false)
	busy := dial(t, server, "127.0.0.2")
	if line, err := ask(busy, "/hang"); line != ok {
		t.Fatalf("a request: got %q, %v", line, err)
	}
	quiet := dial(t, server, "127.0.0.3")
	for range 20 { // of them three stay
		dial(t, server, "127.0.0.2")
	}
	for from, who := range map[string]string{"127.0.0.2": "the address that has too many",
		"127.0.0.4": "another address", "127.0.0.5": "another address, with all places taken"} {
		if line, err := ask(dial(t, server, from), "/hang"); line != ok {
			t.Errorf("%s: got %q, %v; want an answer", who, line, err)
		}
	}
	if line, err := ask(quiet, "/"); line != ok {
		t.Errorf("an idle connection of an address with no other: got %q, %v; want that it stays", line, err)
	}
}

// A request that takes too long makes room when no connection is idle, of the address that has the most first.
func TestSlowRequestsKeepNobodyOut(t *testing.T) {
	t.Parallel()
	server := serve(t, listen.Bounds{Most: 5, OfOne: 5, Patience: 100 * time.Millisecond}, false)
	quick := dial(t, server, "127.0.0.3")
	if line, err := ask(quick, "/hang"); line != ok {
		t.Fatalf("a request: got %q, %v", line, err)
	}
	known := dial(t, server, "127.0.0.2")
	if line, err := ask(known, "/known"); line != ok {
		t.Fatalf("a request of somebody known: got %q, %v", line, err)
	}
	for range 3 {
		c := dial(t, server, "127.0.0.2")
		if _, err := c.Write([]byte("POST / HTT")); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 3 {
		got := ""
		for giveUp := time.Now().Add(20 * time.Second); got != ok && time.Now().Before(giveUp); {
			got, _ = ask(dial(t, server, fmt.Sprintf("127.0.0.%d", 4+i)), "/hang")
		}
		if got != ok {
			t.Fatalf("request %d beside slow ones: got no answer in 20 s", i+1)
		}
	}
	for who, c := range map[string]net.Conn{"an address with no other": quick, "somebody known": known} {
		_ = c.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
		if n, err := c.Read(make([]byte, 1<<10)); errors.Is(err, io.EOF) {
			t.Errorf("a request of %s: got the end of the connection after %d octets, want that it goes on", who, n)
		}
	}
}

// Without a place and without an idle connection the newcomer is closed, and gets in once
// there is a place.
func TestFull(t *testing.T) {
	t.Parallel()
	server := serve(t, listen.Bounds{Most: 2, OfOne: 2}, false)
	var first net.Conn
	for i := range 2 {
		c := dial(t, server, "127.0.0.2")
		if line, err := ask(c, "/hang"); line != ok {
			t.Fatalf("request %d: got %q, %v", i+1, line, err)
		}
		first = c
	}
	if line, err := ask(dial(t, server, "127.0.0.3"), "/"); err == nil {
		t.Errorf("a third connection: got %q, want that it is closed", line)
	}
	first.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for ctx.Err() == nil { // until the server has noticed
		c := dial(t, server, "127.0.0.3")
		if line, _ := ask(c, "/"); line == ok {
			return
		}
		c.Close()
	}
	t.Error("a connection after the end of another: got no answer in 20 s")
}

// Idle connections with TLS make room too.
func TestTLS(t *testing.T) {
	t.Parallel()
	server := serve(t, listen.Bounds{Most: 2, OfOne: 2}, true)
	for i := range 6 {
		client := &http.Client{Transport: server.Client().Transport.(*http.Transport).Clone(), Timeout: 20 * time.Second}
		r, err := client.Get(server.URL) // its connection stays open
		if err != nil {
			t.Fatalf("request %d: %v, want an answer", i+1, err)
		}
		r.Body.Close()
	}
}

func TestNetwork(t *testing.T) {
	t.Parallel()
	for peer, want := range map[string]string{
		"192.0.2.7:25": "192.0.2.7/32", "[::ffff:192.0.2.7]:25": "192.0.2.7/32",
		"[2001:db8:1:2:3:4:5:6]:25": "2001:db8:1:2::/64", "@": "invalid Prefix",
	} {
		if got := listen.Network(peer).String(); got != want {
			t.Errorf("%s: got %s, want %s", peer, got, want)
		}
	}
}
