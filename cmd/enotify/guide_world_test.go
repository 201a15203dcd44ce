package main_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"enotify/cmd/enotify/guide"
	"enotify/cmd/enotify/sitetest"
	"enotify/queue/localpg"
	"enotify/queue/queuetest"
	"enotify/sender/smtptest"
	"enotify/spfguard/dns/dnstest"
)

// pageTimeout limits each block of a page.
const pageTimeout = time.Minute

// A world is what a reader of a page has around: a host with PostgreSQL, DNS
// and receivers. Its database server has one login, the superuser postgres,
// whom the reader becomes with sudo.
type world struct {
	*testing.T
	dir       string // in which the commands run
	env       []string
	dns       *dnstest.Server
	receivers sitetest.Receivers
	ports     *strings.Replacer // fixed ports and folders of the pages, by those of this test
	nodes     []*exec.Cmd
	output    string // of the last block
}

// newWorld makes a world for a page, with the program of [plain]; without blocks that run commands in need
// of it, no database server.
func newWorld(t *testing.T, program string, blocks []guide.Block) *world {
	w := &world{T: t, dir: t.TempDir()}
	w.dns = dnstest.New(t, worldZone)
	smtp, err := smtptest.Start(w.receivers.Config())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { smtp.Close() })

	_, smtpPort, _ := net.SplitHostPort(smtp.Addr)
	w.env = []string{
		"PATH=" + w.dir + "/.bin:" + program + ":" + os.Getenv("PATH"), "HOME=" + w.dir, "TZ=UTC",
		"PSQLRC=/dev/null", "PAGER=cat",
		"ENOTIFY_RESOLVER=" + w.dns.Addr, "ENOTIFY_SMTP_PORT=" + smtpPort, "ENOTIFY_ALLOW_MX=127.0.0.0/8",
		"ENOTIFY_STATE_DIR=" + w.dir + "/state",
		"DATABASE_URL=postgres://127.0.0.1:1/none", // no page may use the private database of whoever runs the test
		"APPLICATION_URL=postgres://cms:secret@127.0.0.1/enotify",
	}
	w.ports = w.replacer()
	w.tools()
	if needsDatabase(blocks) {
		w.startDatabase()
	}
	t.Cleanup(func() { w.end(syscall.SIGTERM) })
	return w
}

// worldZone is the DNS of every page: two clients whose records let 192.0.2.10
// send, our own host, and recipients. Pages change it by comments.
const worldZone = `
town.example.             TXT  "v=spf1 ip4:192.0.2.10 -all"
_dmarc.town.example.      TXT  "v=DMARC1; p=none; rua=mailto:postmaster@town.example"
town.example.             MX   10 mail.host.example.
mail.host.example.        A    192.0.2.10
mail.host.example.        TXT  "v=spf1 ip4:192.0.2.10 -all"
10.2.0.192.in-addr.arpa.  PTR  mail.host.example.
example.org.              MX   10 mx.example.org.
mx.example.org.           A    127.0.0.1
example.net.              MX   10 mx.example.net.
mx.example.net.           A    127.0.0.1
gmail.com.                MX   10 gmail-smtp-in.l.google.com.
gmail-smtp-in.l.google.com. A  127.0.0.1
`

func needsDatabase(blocks []guide.Block) bool {
	for _, b := range blocks {
		if b.Kind == guide.Comment && strings.HasPrefix(b.Text, "setup") || b.Kind == guide.Code &&
			strings.Contains(b.Text, "postgres") {
			return true
		}
	}
	return false
}

// startDatabase starts a server that the reader finds at its usual address:
// the pages name no port, and libpq and pgx take the port from the environment.
func (w *world) startDatabase() {
	server, err := localpg.Start(w.Context(), localpg.Options{Dir: queuetest.OwnDir(w, false), Unsafe: true})
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() {
		if err := server.Stop(context.Background()); err != nil {
			w.Error(err)
		}
	})
	u, err := url.Parse(server.URL())
	if err != nil {
		w.Fatal(err)
	}
	password, _ := u.User.Password()
	w.env = append(w.env, "PGPORT="+u.Port(), "SUPERUSER="+u.User.Username(), "SUPERUSER_PASSWORD="+password)
}

// tools puts into the PATH what the test's machine may lack or must not have:
// sudo, which here makes the reader the superuser of the database and nothing
// else, and go, which here runs the program that is tested.
func (w *world) tools() {
	for name, script := range map[string]string{
		"sudo": `[ "$1 $2" = "-u postgres" ] || { echo "sudo: $*: the pages may use sudo -u postgres alone" >&2; exit 1; }
shift 2
PGHOST=127.0.0.1 PGUSER=$SUPERUSER PGPASSWORD=$SUPERUSER_PASSWORD PGDATABASE=${PGDATABASE:-postgres} exec "$@"`,
		"go": `[ "$1 $2" = "run ./cmd/enotify" ] || { echo "go $*: the pages may run ./cmd/enotify alone" >&2; exit 1; }
shift 2
exec enotify "$@"`,
	} {
		path := filepath.Join(w.dir, ".bin", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			w.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("#!/bin/bash\n"+script+"\n"), 0o755); err != nil {
			w.Fatal(err)
		}
	}
}

// replacer swaps what other tests on this machine may use at the same time:
// ports, by free ones, and folders of the system.
func (w *world) replacer() *strings.Replacer {
	var pairs []string
	for _, port := range []string{"127.0.0.1:9025", "127.0.0.1:2424"} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			w.Fatal(err)
		}
		pairs = append(pairs, port, l.Addr().String())
		l.Close()
	}
	return strings.NewReplacer(append(pairs, "/etc/enotify", w.dir+"/etc/enotify", "/var/backups", w.dir+"/backups")...)
}

// setupScript brings the world to where the first campaign's page has it before
// it creates a batch.
const setupScript = `
export DATABASE_URL=postgres://ops:secret@127.0.0.1/enotify
sudo -u postgres psql --quiet <<'SQL'
CREATE ROLE ops LOGIN CREATEROLE PASSWORD 'secret';
CREATE ROLE cms LOGIN PASSWORD 'secret';
CREATE DATABASE enotify OWNER ops;
SQL
enotify migrate >/dev/null
enotify client add town.example --role cms
export ENOTIFY_EGRESS=192.0.2.10 ENOTIFY_HELO=mail.host.example
` + filesScript

// filesScript makes the files of a batch, and the next batch number 42.
const filesScript = `
echo 'Dear {{.name}}, soup.' > menu.txt
printf 'address,name\nada@example.org,Ada\nbob@example.net,Bob\n' > people.csv
psql "$DATABASE_URL" --quiet --tuples-only --command "SELECT setval(pg_get_serial_sequence('enotify.batch', 'id'), 41)" >/dev/null
`

// draftScript makes batch 42, which is not submitted.
const draftScript = filesScript + `
enotify batch create --from info@town.example --subject 'Lunch menu' --text menu.txt --recipients people.csv
`

// command is script as a process with the environment that the last left.
func (w *world) command(ctx context.Context, script string) *exec.Cmd {
	const frame = `set -euo pipefail
[ ! -f .environment ] || . ./.environment
trap 'export -p > .environment' EXIT
`
	cmd := exec.CommandContext(ctx, "bash", "-c", frame+w.ports.Replace(script))
	cmd.Dir, cmd.Env = w.dir, w.env
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	return cmd
}

// sql runs statements as the application does, or as whom the block names.
func (w *world) sql(b guide.Block, who string) {
	psql, ok := map[string]string{
		"": `psql "$APPLICATION_URL"`, "operator": `psql "$DATABASE_URL"`, "superuser": `sudo -u postgres psql`,
	}[who]
	if !ok {
		w.Errorf("line %d: SQL as %q: it is operator, superuser or nothing", b.Line, who)
		return
	}
	w.shell(b, psql+" --set ON_ERROR_STOP=1 <<'END-OF-SQL'\n"+b.Text+"\nEND-OF-SQL", 0)
}

// background starts script and returns when the node in it has joined.
func (w *world) background(b guide.Block, script string) {
	cmd := w.command(context.Background(), script) // it ends by a signal
	read, write := io.Pipe()
	cmd.Stdout, cmd.Stderr = write, write
	if err := cmd.Start(); err != nil {
		w.Fatal(err)
	}
	w.nodes = append(w.nodes, cmd)
	started := make(chan bool)
	var said strings.Builder // before it started
	go func() {
		lines := bufio.NewScanner(read)
		for lines.Scan() {
			fmt.Fprintln(&said, lines.Text())
			if testing.Verbose() {
				w.Logf("node: %s", lines.Text())
			}
			if strings.Contains(lines.Text(), "msg=started") {
				started <- true
			}
		}
		close(started)
	}()
	go func() { _ = cmd.Wait(); write.Close() }()
	select {
	case ok := <-started:
		if !ok {
			w.Errorf("line %d: the node ended before it started: %s\n%s", b.Line, script, said.String())
			return
		}
		go func() {
			for range started { // until it has ended
			}
		}()
	case <-time.After(pageTimeout):
		w.Errorf("line %d: the node has not started: %s", b.Line, script)
	}
}

// end sends the nodes that run a signal and waits until they have ended.
func (w *world) end(signal syscall.Signal) {
	for _, cmd := range w.nodes {
		if err := syscall.Kill(-cmd.Process.Pid, signal); err != nil {
			continue // it has ended
		}
		for syscall.Kill(-cmd.Process.Pid, 0) == nil {
			time.Sleep(10 * time.Millisecond)
		}
	}
	w.nodes = nil
}
