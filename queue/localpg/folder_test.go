package localpg_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"enotify/queue/localpg"
)

// A node of root's that keeps its journal beside the server makes the folder around
// both for itself alone. The server must get through, and nobody look into it.
func TestServerPassesThroughAFolderOfRoots(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "enotify")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := localpg.LetPass(dir); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := info.Mode().Perm(), fs.FileMode(0o711); got != want {
		t.Errorf("mode: got %o, want %o", got, want)
	}
}
