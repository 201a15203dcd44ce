//go:build check

package packaging_test

import (
	"bytes"
	"context"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"gopkg.in/yaml.v3"

	"enotify/cmd/enotify/sitetest"
	"enotify/queue/localpg"
	"enotify/sender/smtptest"
	"enotify/spfguard/dns/dnstest"
)

// The services of docker-compose.yml, without Docker: the logins as its script makes
// them, the migrations, two nodes, and an application at the port of the host.
func TestCompose(t *testing.T) {
	t.Parallel()
	c := newCompose(t)

	t.Run("passwords", func(t *testing.T) {
		for name := range c.passwords {
			if got := regexp.MustCompile(`\$\{`+name+`([^}]*)\}`).FindAllStringSubmatch(c.text,
				-1); !slices.ContainsFunc(got, func(m []string) bool { return strings.HasPrefix(m[1], ":?") }) ||
				slices.ContainsFunc(got,
					func(m []string) bool { return strings.HasPrefix(m[1], ":-") || strings.HasPrefix(m[1], "-") }) {
				t.Errorf("%s: got %q, want that compose demands it and has no default", name, got)
			}
		}
		for name, service := range c.file.Services {
			for _, port := range service.Ports {
				if !strings.HasPrefix(port, "127.0.0.1:") {
					t.Errorf("service %s: got port %s, want one on loopback alone", name, port)
				}
			}
		}
	})

	output(t, c.command("migrate"))
	output(t, c.ops("client", "add", "town.invalid", "--role", "cms"))
	// both are on this host
	listen := map[string]string{"sender1": sitetest.FreePort(t), "sender2": sitetest.FreePort(t)}
	for name, addr := range listen {
		node := c.command(name)
		node.Env = append(node.Env, "ENOTIFY_STATE_DIR="+t.TempDir(), "ENOTIFY_LISTEN="+addr)
		var log bytes.Buffer
		node.Stderr = &log
		if err := node.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = node.Process.Signal(syscall.SIGTERM)
			if err := node.Wait(); err != nil {
				t.Errorf("%s: %v\n%s", name, err, log.String())
			}
		})
	}
	application := c.login("cms")
	var batch int64
	err := application.QueryRow(t.Context(), `SELECT enotify.enqueue('menu', 'info@town.invalid', 'Lunch menu', 'Soup.',
		ARRAY['ada@example.org', 'bob@example.net'])`).Scan(&batch)
	if err != nil {
		t.Fatal(err)
	}
	for state := ""; state != "done"; {
		if err := application.QueryRow(t.Context(), `SELECT state FROM enotify.batch_status WHERE id = $1`,
			batch).Scan(&state); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Millisecond)
	}
	if got, want := len(c.smtp.Messages()), 2; got != want {
		t.Errorf("messages at the smarthost: got %d, want %d", got, want)
	}
	nodes := output(t, c.ops("node", "list"))
	wantText(t, "nodes", nodes, "sender1", "sender2")
	for name, addr := range listen {
		health := c.healthcheck(name)
		health.Env = append(health.Env, "ENOTIFY_LISTEN="+addr)
		wantText(t, "health", output(t, health), "is alive")
		_, _, metrics := sitetest.Request(t, http.MethodGet, "http://"+addr+"/metrics", nil)
		wantText(t, "metrics of a node whose login is no superuser", metrics, "enotify_database_up 1",
			"enotify_recipients{", "enotify_complaint_ratio{")
	}
	for _, login := range []string{"ops", "sender", "cms"} {
		var super, createrole bool
		if err := c.login(login).QueryRow(t.Context(),
			`SELECT rolsuper, rolcreaterole FROM pg_roles WHERE rolname = session_user`).Scan(&super,
			&createrole); err != nil || super {
			t.Errorf("login %s: got superuser %v (%v), want none", login, super, err)
		}
	}
}

// A service as compose files have it, as far as the test needs it.
type service struct {
	Command     []string
	Environment map[string]string
	Ports       []string
	Healthcheck struct{ Test []string }
}

type compose struct {
	*testing.T
	text      string
	file      struct{ Services map[string]service }
	passwords map[string]string // variables of .env
	server    *url.URL          // of the superuser
	smtp      *smtptest.Server
	resolver  string
	program   string
}

func newCompose(t *testing.T) *compose {
	t.Helper()
	c := &compose{T: t, passwords: map[string]string{"POSTGRES_PASSWORD": "p1", "OPS_PASSWORD": "p2",
		"SENDER_PASSWORD": "p3", "CMS_PASSWORD": "p4"}}
	text, err := os.ReadFile(filepath.Join(top, "docker-compose.yml"))
	if err != nil {
		t.Fatal(err)
	}
	c.text = string(text)
	if err := yaml.Unmarshal(text, &c.file); err != nil {
		t.Fatal(err)
	}
	server, err := localpg.Start(t.Context(), localpg.Options{Ephemeral: true, Unsafe: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	if c.server, err = url.Parse(server.URL()); err != nil {
		t.Fatal(err)
	}
	if c.smtp, err = smtptest.Start(smtptest.Config{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.smtp.Close() })
	c.resolver = dnstest.New(t, `mail.host.invalid. A 192.0.2.1`).Addr
	c.program = filepath.Join(t.TempDir(), "enotify")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-buildvcs=false", "-ldflags",
		"-s -w -X main.version=v1.0.0", "-o", c.program, "./cmd/enotify")
	build.Dir, build.Env = top, append(os.Environ(), "CGO_ENABLED=0")
	output(t, build)

	password, _ := c.server.User.Password()
	logins := exec.CommandContext(t.Context(), "sh", "./logins.sh")
	logins.Env = append(os.Environ(), "PGHOST="+c.server.Hostname(), "PGPORT="+c.server.Port(), "PGPASSWORD="+password,
		"POSTGRES_USER="+c.server.User.Username(), "POSTGRES_DB="+strings.TrimPrefix(c.server.Path, "/"))
	for name, value := range c.file.Services["postgres"].Environment {
		logins.Env = append(logins.Env, name+"="+c.expand(value))
	}
	logins.Env = slices.DeleteFunc(logins.Env,
		func(setting string) bool { return strings.HasPrefix(setting, "POSTGRES_PASSWORD=") })
	output(t, logins)
	return c
}

var variable = regexp.MustCompile(`\$\{([A-Z_]+)(:?[-?])?([^}]*)\}`)

// expand puts the variables in, as compose does, and the addresses of this test in
// place of those of the other services.
func (c *compose) expand(text string) string {
	text = variable.ReplaceAllStringFunc(text, func(match string) string {
		parts := variable.FindStringSubmatch(match)
		if value, ok := c.passwords[parts[1]]; ok {
			return value
		}
		return strings.TrimLeft(parts[3], "?")
	})
	return strings.NewReplacer("@postgres:5432/", "@"+c.server.Host+"/", "catchall:1025", c.smtp.Addr).Replace(text)
}

// run is what a service runs, with its environment.
func (c *compose) run(name string, args []string) *exec.Cmd {
	c.Helper()
	cmd := exec.Command(c.program, args...)
	cmd.Env = []string{"ENOTIFY_RESOLVER=" + c.resolver, "HOME=" + c.TempDir()}
	for _, setting := range slices.Sorted(maps.Keys(c.file.Services[name].Environment)) {
		cmd.Env = append(cmd.Env, setting+"="+c.expand(c.file.Services[name].Environment[setting]))
	}
	return cmd
}

func (c *compose) command(name string) *exec.Cmd { return c.run(name, c.file.Services[name].Command) }

// ops is docker compose run ops.
func (c *compose) ops(args ...string) *exec.Cmd { return c.run("ops", args) }

// healthcheck is that of a service.
func (c *compose) healthcheck(name string) *exec.Cmd {
	c.Helper()
	test := c.file.Services[name].Healthcheck.Test
	if len(test) < 3 || test[0] != "CMD" || test[1] != "/usr/local/bin/enotify" {
		c.Fatalf("healthcheck of %s: got %q, want a verb of enotify", name, test)
	}
	return c.run(name, test[2:])
}

// login opens the database as an application on the host does.
func (c *compose) login(name string) *pgx.Conn {
	c.Helper()
	at := *c.server
	at.User, at.Path = url.UserPassword(name, c.passwords[strings.ToUpper(name)+"_PASSWORD"]), "/enotify"
	conn, err := pgx.Connect(c.Context(), at.String())
	if err != nil {
		c.Fatal(err)
	}
	c.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}
