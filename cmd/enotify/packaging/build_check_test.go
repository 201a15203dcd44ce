//go:build check

package packaging_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// top is the folder of the repository.
const top = "../../.."

// needRoot fails a test that makes a chroot when it may not.
func needRoot(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Fatal("this check makes a chroot: run make check as root")
	}
}

// output runs a command and returns what it printed; its error is one of the test.
func output(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
	return string(out)
}

// build makes what is handed out, as make dist does, and returns the folder.
func build(t *testing.T, version string, arches ...string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), version)
	output(t, exec.CommandContext(t.Context(), "./dist", append([]string{dir, version}, arches...)...))
	return dir
}

// one is the file of a folder that matches the pattern.
func one(t *testing.T, dir, pattern string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(found) != 1 {
		t.Fatalf("%s in %s: got %q (%v), want one file", pattern, dir, found, err)
	}
	return found[0]
}

func wantText(t *testing.T, what, got string, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if !strings.Contains(got, want) {
			t.Errorf("%s: got\n%s\nwant in it %q", what, got, want)
		}
	}
}
