package main_test

import (
	"os/exec"
	"path/filepath"
	"testing"
)

// plain builds the program as users have it, without the race detector, and returns
// its folder. The stories and the pages of the guide start it hundreds of times; tests
// that send under load start the test binary instead, see TestMain.
func plain(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(dir, "enotify"), ".")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return dir
}
