//go:build check

package packaging_test

import (
	"bufio"
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The packages are installed, upgraded and removed on a copy of this machine, once
// with systemd's tools and once without.
func TestPackages(t *testing.T) {
	t.Parallel()
	needRoot(t)
	first, second := build(t, "v1.0.0", "amd64", "arm64"), build(t, "v1.1.0", "amd64")

	t.Run("deb", func(t *testing.T) {
		m := newMachine(t, first, second)
		before, after := m.file(one(t, first, "*_amd64.deb")), m.file(one(t, second, "*_amd64.deb"))
		wantText(t, "install", m.run("dpkg -i "+before), "/etc/enotify/env", "systemctl enable --now enotify")
		m.installed("v1.0.0")
		m.run("echo ENOTIFY_HELO=kept >> /etc/enotify/env")
		wantText(t, "upgrade", m.run("dpkg -i "+after), "systemctl restart enotify")
		m.installed("v1.1.0")
		m.run("grep -q ENOTIFY_HELO=kept /etc/enotify/env")
		m.run("dpkg -r enotify && test ! -e /usr/bin/enotify && test -e /etc/enotify/env")
		wantText(t, "purge", m.run("dpkg -P enotify"), "/etc/enotify is not empty and stays")
		m.run("test ! -e /etc/enotify/env && ls /etc/enotify/dkim/town.example/s1.pem")
	})
	t.Run("rpm", func(t *testing.T) {
		m := newMachine(t, first, second)
		m.run("rm /usr/bin/systemd-sysusers /usr/bin/systemd-tmpfiles")
		before, after := m.file(one(t, first, "*.x86_64.rpm")), m.file(one(t, second, "*.x86_64.rpm"))
		const rpm = "rpm --force-debian --nodeps "
		wantText(t, "install", m.run(rpm+"-i "+before), "/etc/enotify/env", "systemctl enable --now enotify")
		m.installed("v1.0.0")
		m.run("echo ENOTIFY_HELO=kept >> /etc/enotify/env")
		wantText(t, "upgrade", m.run(rpm+"-U "+after), "systemctl restart enotify")
		m.installed("v1.1.0")
		m.run("grep -q ENOTIFY_HELO=kept /etc/enotify/env")
		wantText(t, "removal", m.run(rpm+"-e enotify"), "/etc/enotify is not empty and stays")
		m.run("test ! -e /usr/bin/enotify && ls /etc/enotify/dkim/town.example/s1.pem")
	})
	t.Run("files", func(t *testing.T) {
		for arch, want := range map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64} {
			static(t, filepath.Join(first, "enotify-linux-"+arch), want)
		}
		sums(t, first, 7)
		listed(t, filepath.Join(first, "enotify.cdx.json"), "v1.0.0")
	})
}

// A machine is a copy of this one, in a mount namespace of its own: what it writes
// is in memory, and gone at its end.
type machine struct {
	*testing.T
	pid int // of the process that keeps the namespace
}

func newMachine(t *testing.T, shared ...string) *machine {
	t.Helper()
	script := `set -e
		mount -t tmpfs tmpfs /mnt
		mkdir /mnt/upper /mnt/work /mnt/root
		mount -t overlay overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work /mnt/root
		mount -t proc proc /mnt/root/proc
		mount --rbind /dev /mnt/root/dev
		mkdir /mnt/root/packages
		cp "$@" /mnt/root/packages
		echo ready
		exec sleep infinity`
	args := []string{"--mount", "--propagation", "private", "sh", "-c", script, "sh"}
	for _, dir := range shared {
		args = append(args, one(t, dir, "*_amd64.deb"), one(t, dir, "*.x86_64.rpm"))
	}
	cmd := exec.Command("unshare", args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		t.Fatalf("the copy of this machine: got %q (%v), want ready", line, err)
	}
	return &machine{t, cmd.Process.Pid}
}

// file is where the machine has one of the packages.
func (m *machine) file(path string) string { return "'/packages/" + filepath.Base(path) + "'" }

// run runs a script as root of the machine.
func (m *machine) run(script string) string {
	m.Helper()
	return output(m.T, exec.CommandContext(m.Context(), "nsenter", fmt.Sprintf("--mount=/proc/%d/ns/mnt", m.pid),
		"chroot", "/mnt/root", "sh", "-c", script))
}

// installed checks what the package has to leave on the machine.
func (m *machine) installed(version string) {
	m.Helper()
	if got := strings.TrimSpace(m.run("enotify version")); got != version {
		m.Errorf("version: got %q, want %q", got, version)
	}
	m.run("systemd-analyze verify /usr/lib/systemd/system/enotify.service")
	m.run("systemd-analyze security --offline=true --threshold=20 /usr/lib/systemd/system/enotify.service")
	for path, want := range map[string]string{
		"/etc/enotify/env": "640 root enotify", "/etc/enotify/dkim": "2750 root enotify",
		"/var/lib/enotify": "750 enotify enotify",
	} {
		if got := strings.TrimSpace(m.run("stat -c '%a %U %G' " + path)); got != want {
			m.Errorf("%s: got %q, want %q", path, got, want)
		}
	}
	const enotify, nobody = "setpriv --reuid enotify --regid enotify --clear-groups ",
		"setpriv --reuid nobody --regid nogroup --clear-groups "
	m.run(enotify + "cat /etc/enotify/env")
	m.run("! " + nobody + "cat /etc/enotify/env 2>/dev/null")
	m.run("test -e /etc/enotify/dkim/town.example || enotify client key town.example --selector s1 --dkim-dir /etc/enotify/dkim")
	m.run(enotify + "cat /etc/enotify/dkim/town.example/s1.pem")
	m.run("! " + nobody + "cat /etc/enotify/dkim/town.example/s1.pem 2>/dev/null")
	wantText(m.T, "manual", m.run("zcat /usr/share/man/man1/enotify-run.1.gz"), "Run a node", "--egress", version)
	m.run("bash -c '. /usr/share/bash-completion/completions/enotify && complete -p enotify'")
}

// static checks that a program needs no library.
func static(t *testing.T, path string, machine elf.Machine) {
	t.Helper()
	f, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if libraries, err := f.ImportedLibraries(); f.Machine != machine || len(libraries) > 0 || err != nil {
		t.Errorf("%s: got %v with libraries %q (%v), want %v with none", path, f.Machine, libraries, err, machine)
	}
}

// sums checks the checksums of so many files.
func sums(t *testing.T, dir string, want int) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "SHA256SUMS"))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	if len(lines) != want {
		t.Errorf("SHA256SUMS: got %d files, want %d:\n%s", len(lines), want, text)
	}
	for _, line := range lines {
		sum, name, _ := strings.Cut(line, "  ")
		content, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if got := sha256.Sum256(content); hex.EncodeToString(got[:]) != sum {
			t.Errorf("SHA256SUMS of %s: got %s, want %x", name, sum, got)
		}
	}
}

// listed checks that the SBOM names the program and what it is made of.
func listed(t *testing.T, path, version string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var sbom struct {
		BOMFormat string `json:"bomFormat"`
		Metadata  struct {
			Component struct{ Name, Version string }
		}
		Components []struct{ Name, Version string }
	}
	if err := json.Unmarshal(text, &sbom); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, c := range sbom.Components {
		names = append(names, c.Name)
	}
	main := sbom.Metadata.Component
	if sbom.BOMFormat != "CycloneDX" || main.Name != "enotify" || main.Version != version ||
		!strings.Contains(strings.Join(names, " "), "github.com/jackc/pgx/v5") {
		t.Errorf("SBOM: got %s of %s %s with %q, want CycloneDX of enotify %s with pgx among the rest", sbom.BOMFormat,
			main.Name, main.Version, names, version)
	}
}
