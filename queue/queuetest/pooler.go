package queuetest

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A Pooler is PgBouncer before a server, as Debian packages it, with nothing set
// that enotify would need. It knows the logins of the URLs that it was started with.
type Pooler struct {
	testing.TB
	config, addr string
	process      *exec.Cmd
}

// StartPooler starts PgBouncer in a mode, session or transaction, for logins given
// by the URLs of their databases. It is killed when the test ends.
func StartPooler(tb testing.TB, mode string, logins ...string) *Pooler {
	tb.Helper()
	dir, err := os.MkdirTemp("", "enotify-pooler-")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { os.RemoveAll(dir) })
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	p := &Pooler{TB: tb, config: filepath.Join(dir, "pgbouncer.ini"), addr: listener.Addr().String()}
	listener.Close()

	var users strings.Builder
	for _, login := range logins {
		u := parse(tb, login)
		password, _ := u.User.Password()
		fmt.Fprintf(&users, "\"%s\" \"%s\"\n", u.User.Username(), password)
	}
	server, _, _ := strings.Cut(parse(tb, logins[0]).Host, ",")
	host, port, err := net.SplitHostPort(server)
	if err != nil {
		tb.Fatal(err)
	}
	_, listen, _ := net.SplitHostPort(p.addr)
	config := fmt.Sprintf(`[databases]
* = host=%s port=%s
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %s
unix_socket_dir =
auth_type = scram-sha-256
auth_file = %s/users
pool_mode = %s
default_pool_size = 20
`, host, port, listen, dir, mode)
	if os.Getuid() == 0 { // as root it does not run
		config += "user = nobody\n"
	}
	for file, text := range map[string]string{p.config: config, filepath.Join(dir, "users"): users.String()} {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			tb.Fatal(err)
		}
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		tb.Fatal(err)
	}
	p.Start()
	tb.Cleanup(p.Kill)
	return p
}

// Start starts it, at first or after Kill, and returns when it accepts connections.
func (p *Pooler) Start() {
	p.Helper()
	program, err := exec.LookPath("pgbouncer")
	if err != nil {
		p.Fatalf("%v; install it (Debian: apt-get install pgbouncer)", err)
	}
	var log strings.Builder
	p.process = exec.Command(program, p.config)
	p.process.Stderr = &log
	if err := p.process.Start(); err != nil {
		p.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- p.process.Wait() }()
	for {
		conn, err := net.Dial("tcp", p.addr)
		if err == nil {
			conn.Close()
			return
		}
		select {
		case err := <-ended:
			p.Fatalf("pgbouncer ended at its start (%v): %s", err, log.String())
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// Kill ends it as a crash does.
func (p *Pooler) Kill() { _ = p.process.Process.Kill() }

// URL is how a login opens its database through the pooler.
func (p *Pooler) URL(login string) string {
	p.Helper()
	u := parse(p.TB, login)
	u.Host = p.addr
	u.RawQuery = url.Values{"sslmode": {"disable"}}.Encode()
	return u.String()
}
