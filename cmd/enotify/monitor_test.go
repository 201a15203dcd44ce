package main_test

import (
	"errors"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"enotify/sender/smtptest"
)

func TestMonitor(t *testing.T) {
	t.Parallel()
	s := newSite(t, smtptest.Config{})
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := taken.Addr().String()

	var exit *exec.ExitError
	node := s.Enotify("run", "--listen", addr)
	out, err := node.CombinedOutput()
	if !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.Contains(string(out), "--listen "+addr) || strings.Count(string(out), "\n") != 1 {
		t.Errorf("run with a port in use: got %v and %q, want exit 1 and one line that names --listen and the address", err, out)
	}

	taken.Close()
	batch := s.Enqueue("menu", "Soup.", 10, 2)
	s.Start("run", "--listen", addr)
	s.Until(`SELECT state = 'done' FROM enotify.batch WHERE id = $1`, batch)
	if code, body := get(t, "http://"+addr+"/healthz"); code != http.StatusOK {
		t.Errorf("/healthz: got %d %q, want 200", code, body)
	}
	_, metrics := get(t, "http://"+addr+"/metrics")
	for _, want := range []string{`enotify_attempts_total{class="",state="delivered"} 10`, `enotify_batches{state="queued"} 0`} {
		if !strings.Contains(metrics, want) {
			t.Errorf("/metrics lacks %q", want)
		}
	}
	if strings.Contains(metrics, "@") || strings.Contains(metrics, ".test") {
		t.Error("/metrics holds an address or a domain")
	}
}

func get(t *testing.T, url string) (code int, body string) {
	t.Helper()
	client := http.Client{Timeout: 10 * time.Second}
	response, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}
