package localpg

import (
	"context"
	"os"
	"path/filepath"
)

// openEphemeral makes a folder for one server in parent, and removes those
// there whose server is gone.
func openEphemeral(ctx context.Context, parent string) (folder, error) {
	parent, err := ephemeralParent(parent)
	if err != nil {
		return folder{}, err
	}
	// A folder is made and locked, or found unlocked and removed, by one process at a time.
	turn, err := waitLock(ctx, filepath.Join(parent, "lock"))
	if err != nil {
		return folder{}, err
	}
	defer turn.Close()

	removeLeftovers(parent)
	dir, err := os.MkdirTemp(parent, "server-")
	if err != nil {
		return folder{}, err
	}
	if os.Getuid() == 0 {
		if err := os.Chmod(dir, 0o711); err != nil { // see makeDir
			return folder{}, err
		}
	}
	lock, err := tryLock(filepath.Join(dir, "lock"))
	return folder{dir, lock}, err
}

func ephemeralParent(dir string) (string, error) {
	switch {
	case dir != "":
		return dir, makeDir(dir)
	case os.Getuid() == 0:
		return temporaryDir("/var/tmp") // TMPDIR may be closed to the server's user
	default:
		return temporaryDir(os.TempDir())
	}
}

// removeLeftovers removes the folders that no process holds. One that resists
// takes up room and harms nobody, so it stops no start either.
func removeLeftovers(parent string) {
	dirs, _ := filepath.Glob(filepath.Join(parent, "server-*")) // its only error is a bad pattern
	for _, dir := range dirs {
		if lock, _ := tryLock(filepath.Join(dir, "lock")); lock != nil {
			_ = os.RemoveAll(dir)
			lock.Close()
		}
	}
}
