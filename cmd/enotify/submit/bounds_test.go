package submit_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"enotify/queue/queuetest"
)

// Whoever tries tokens has the database asked ten times a second at most.
func TestStrangersTokensAreAskedForSeldom(t *testing.T) {
	t.Parallel()
	var tap *queuetest.Tap
	d := newDoorBy(t, func(database string) string {
		tap = queuetest.NewTap(t, database)
		return tap.URL
	})
	tap.Count()
	const requests = 300
	began := time.Now()
	for i := range requests {
		if status, answer := d.callAs(fmt.Sprint("guess", i), "GET", "/v1/batches/1", "", "", nil); status != http.StatusUnauthorized {
			t.Fatalf("token guess%d: got %d %s, want 401", i, status, answer)
		}
	}
	asked := 0
	for sql, n := range tap.Count() {
		if strings.Contains(sql, "enotify.token") {
			asked += n
		}
	}
	// and once a second anyway
	if most := int(11*time.Since(began).Seconds()) + 12; asked > most || asked == 0 {
		t.Errorf("the database was asked for tokens in %v: got %d times for %d requests, want %d at most, and some",
			time.Since(began), asked, requests, most)
	}
}

// A request that is refused ends, whatever of its body is still to come: an octet at a time, it had a connection for
// as long as it liked.
func TestRefusedBodiesEnd(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	for name, length := range map[string]string{"a body of some length": "Content-Length: 200000\r\n\r\n{",
		"chunks": "Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n"} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(d.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		fmt.Fprintf(conn, "POST /v1/batches HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n%s", length)
		_ = conn.SetReadDeadline(time.Now().Add(30 * time.Second))
		answer, err := io.ReadAll(conn)
		if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 401 ") {
			t.Errorf("%s without a token: got %q and %v, want 401 and the end of the connection", name, answer, err)
		}
	}
}

// A token sends four bodies at a time; the next is refused until one of them has ended.
func TestBodiesOfATokenAtATime(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	var slow []net.Conn
	for range 4 { // that do not go on
		conn, err := net.Dial("tcp", strings.TrimPrefix(d.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		fmt.Fprintf(conn, "POST /v1/batches HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nIdempotency-Key: slow\r\n"+
			"Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{", d.token)
		slow = append(slow, conn)
	}
	const full = "the token sends four bodies already"
	until := func(refused bool) {
		t.Helper()
		answer := ""
		for giveUp := time.Now().Add(20 * time.Second); time.Now().Before(giveUp); time.Sleep(100 * time.Millisecond) {
			if _, answer = d.call("POST", "/v1/batches", "quick", "application/json", "{}"); strings.Contains(answer,
				full) == refused && !strings.Contains(answer, "too many requests") {
				return
			}
		}
		t.Fatalf("a fifth body: got %s, want it refused with %q: %v", answer, full, refused)
	}
	until(true)
	slow[0].Close()
	until(false)
}
