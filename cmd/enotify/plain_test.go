package main_test

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	enotify "enotify/cmd/enotify"
)

// plain returns the folder of the program as users have it, without the race detector.
// The stories and the pages of the guide start it hundreds of times; tests that send
// under load start the test binary instead, see TestMain.
func plain(t *testing.T) (dir string) {
	t.Helper()
	dir, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

var built = sync.OnceValues(func() (dir string, err error) {
	if dir, err = enotify.ProcessDir(); err != nil {
		return "", err
	}
	build := exec.Command("go", "build", "-o", filepath.Join(dir, "enotify"), ".")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return dir, nil
})
