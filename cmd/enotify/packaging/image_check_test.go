//go:build check

package packaging_test

import (
	"context"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"enotify/cmd/enotify/sitetest"
	"enotify/sender/smtptest"
	"enotify/spfguard/dns/dnstest"
)

// The files that the Dockerfile puts into the image send a batch, in a chroot that
// has nothing else: no shell, no /tmp, no files of time zones. The DNS server is
// that of resolv.conf.
func TestImage(t *testing.T) {
	t.Parallel()
	needRoot(t)
	s := sitetest.New(t, smtptest.Config{})
	batch := s.Enqueue("menu", "Soup.", 20, 2)
	image := newImage(t)
	const nameserver = "127.53.53.53"
	dns, err := dnstest.StartAt(nameserver+":53",
		"town.example. TXT \"v=spf1 ip4:192.0.2.10 -all\"\nmx.test. A 127.0.0.1\n*.test. MX 10 mx.test.\n")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(dns.Close)
	image.write("etc/resolv.conf", "nameserver "+nameserver+"\n")
	port := netip.MustParseAddrPort(s.SMTP.Addr).Port()
	image.env = append(image.env, "DATABASE_URL="+s.URL, "TZ=Europe/Berlin", "ENOTIFY_SMTP_PORT="+
		strconv.Itoa(int(port)), "ENOTIFY_ALLOW_MX=127.0.0.0/8",
		"ENOTIFY_EGRESS=192.0.2.10", "ENOTIFY_HELO=mail.host.example")

	log := image.run("run", "--until-idle")
	if got, want := s.States(batch), "delivered 20"; got != want {
		t.Errorf("recipients: got %s, want %s; log:\n%s", got, want, log)
	}
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	wantText(t, "times of the log", log, time.Now().In(berlin).Format("-07:00"))
	if journals, err := os.ReadDir(filepath.Join(image.dir, "var/lib/enotify/journals")); err != nil ||
		len(journals) == 0 {
		t.Errorf("journals: got %v (%v), want at least one", journals, err)
	}
}

// An image is the folder that the Dockerfile makes, and the environment and user
// that it sets.
type image struct {
	*testing.T
	dir string
	env []string
	uid uint32
}

var copied = regexp.MustCompile(`^COPY --from=build (?:--chown=(\d+):\d+ )?(\S+) (\S+)$`)

// newImage follows the last stage of the Dockerfile.
func newImage(t *testing.T) *image {
	t.Helper()
	file, err := os.ReadFile(filepath.Join(top, "Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	m := &image{T: t, dir: t.TempDir()}
	_, stage, _ := strings.Cut(string(file), "\nFROM scratch\n")
	for line := range strings.Lines(stage) {
		line = strings.TrimSpace(line)
		verb, rest, _ := strings.Cut(line, " ")
		switch verb {
		case "COPY":
			m.copy(line)
		case "ENV":
			m.env = append(m.env, strings.Fields(rest)...)
		case "USER":
			uid, _, _ := strings.Cut(rest, ":")
			n, err := strconv.ParseUint(uid, 10, 32)
			if err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			m.uid = uint32(n)
		}
	}
	if m.uid == 0 {
		t.Fatal("Dockerfile: got no USER, want one that is not root")
	}
	for dir := m.dir; dir != "/tmp" && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

// copy does what a COPY of the last stage does: the program, a file of this host, or
// an empty folder that the first stage made.
func (m *image) copy(line string) {
	m.Helper()
	match := copied.FindStringSubmatch(line)
	if match == nil {
		m.Fatalf("Dockerfile: the test does not know %q", line)
	}
	owner, from, to := match[1], match[2], filepath.Join(m.dir, match[3])
	switch {
	case from == "/out/enotify":
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			m.Fatal(err)
		}
		cmd := exec.CommandContext(m.Context(), "go", "build", "-trimpath", "-buildvcs=false", "-ldflags",
			"-s -w -X main.version=v1.0.0", "-o", to, "./cmd/enotify")
		cmd.Dir, cmd.Env = top, append(os.Environ(), "CGO_ENABLED=0")
		output(m.T, cmd)
	case strings.HasPrefix(from, "/out/"):
		for _, dir := range []string{to, filepath.Join(to, map[bool]string{true: "journals"}[from == "/out/state"])} {
			if err := os.MkdirAll(dir, 0o755); err != nil {
				m.Fatal(err)
			}
			uid, err := strconv.Atoi(owner)
			if err != nil {
				m.Fatalf("%s: %v", line, err)
			}
			if err := os.Chown(dir, uid, uid); err != nil {
				m.Fatal(err)
			}
		}
	default:
		text, err := os.ReadFile(from)
		if err != nil {
			m.Fatal(err)
		}
		m.write(strings.TrimPrefix(match[3], "/")+filepath.Base(from), string(text))
	}
}

func (m *image) write(path, text string) {
	m.Helper()
	path = filepath.Join(m.dir, path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		m.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		m.Fatal(err)
	}
}

// run runs a verb in the image.
func (m *image) run(args ...string) string {
	m.Helper()
	ctx, cancel := context.WithTimeout(m.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/usr/local/bin/enotify", args...)
	cmd.Dir, cmd.Env = "/", m.env
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: m.dir, Credential: &syscall.Credential{Uid: m.uid, Gid: m.uid}}
	return output(m.T, cmd)
}
