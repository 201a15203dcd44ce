package node_test

import (
	"net"
	"net/http"
	"strings"
	"testing"

	"enotify/cmd/enotify/node"
	"enotify/cmd/enotify/sitetest"
	"enotify/sender/smtptest"
)

func TestMonitor(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, smtptest.Config{})
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := taken.Addr().String()
	c := s.Node()
	c.Listen = addr
	if err := node.Run(t.Context(), c); err == nil || !strings.Contains(err.Error(), "--listen "+addr) ||
		strings.Contains(err.Error(), "\n") {
		t.Errorf("with a port in use: got %v, want one line that names --listen and the address", err)
	}

	taken.Close()
	batch := s.Enqueue("menu", "Soup.", 10, 2)
	s.Serve(c)
	s.Until(`SELECT state = 'done' FROM enotify.batch WHERE id = $1`, batch)
	if code, _, body := sitetest.Request(t, http.MethodGet, "http://"+addr+"/healthz", nil); code != http.StatusOK {
		t.Errorf("/healthz: got %d %q, want 200", code, body)
	}
	_, _, metrics := sitetest.Request(t, http.MethodGet, "http://"+addr+"/metrics", nil)
	for _, want := range []string{`enotify_attempts_total{class="",site="mx.test",state="delivered"} 1`,
		`enotify_batches{state="queued"} 0`} {
		if !strings.Contains(metrics, want) {
			t.Errorf("/metrics lacks %q", want)
		}
	}
	if strings.Contains(metrics, "@") {
		t.Error("/metrics holds an address")
	}
}
