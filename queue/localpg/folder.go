package localpg

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// A folder is a server's folder; the package's doc says what is in it.
type folder struct {
	dir  string
	lock *os.File // nil when another process has it, and its server runs
}

func (f folder) path(name string) string { return filepath.Join(f.dir, name) }

// pollEvery is how often a state is asked for that cannot be waited for.
const pollEvery = 5 * time.Millisecond

// open returns the folder that the options mean, with its lock, or without it
// once the server of another process accepts connections there.
func open(ctx context.Context, o Options) (folder, error) {
	if o.Ephemeral {
		return openEphemeral(ctx, o.Dir)
	}
	dir := o.Dir
	if dir == "" {
		var err error
		if dir, err = DefaultDir(); err != nil {
			return folder{}, err
		}
	}
	if err := makeDir(dir); err != nil {
		return folder{}, err
	}
	f := folder{dir: dir}
	for {
		lock, err := tryLock(f.path("lock"))
		if lock != nil || err != nil {
			return folder{dir, lock}, err
		}
		if f.answers(ctx) {
			return f, nil
		}
		select {
		case <-ctx.Done():
			return folder{}, fmt.Errorf("another process holds %s, and no server answers there: %w", f.path("lock"),
				ctx.Err())
		case <-time.After(pollEvery):
		}
	}
}

// answers reports whether the server of url accepts connections. One that is
// not ours but has got its port refuses the password, or never says a word.
func (f folder) answers(ctx context.Context) bool {
	url, err := f.readURL()
	if err != nil {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return false
	}
	return conn.Close(ctx) == nil
}

func (f folder) readURL() (string, error) {
	url, err := os.ReadFile(f.path("url"))
	return string(url), err
}

// writeURL replaces url at once and for good: the password in it is written
// nowhere else.
func (f folder) writeURL(url string) error {
	file, err := os.OpenFile(f.path("url.new"), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = file.WriteString(url)
	if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	return os.Rename(f.path("url.new"), f.path("url"))
}

// DefaultDir is the folder of the user's own server: under /var/lib for root,
// under the user's state folder (XDG_STATE_HOME, ~/.local/state) for others,
// and under /var/tmp for those without a home.
func DefaultDir() (string, error) {
	if os.Getuid() == 0 {
		return "/var/lib/enotify/postgresql", nil
	}
	if state := os.Getenv("XDG_STATE_HOME"); state != "" {
		return filepath.Join(state, "enotify", "postgresql"), nil
	}
	if !hasHome() {
		dir, err := temporaryDir("/var/tmp")
		return filepath.Join(dir, "postgresql"), err
	}
	home, err := os.UserHomeDir()
	return filepath.Join(home, ".local", "state", "enotify", "postgresql"), err
}

// hasHome reports whether the user has a home: users of services often have a
// name for one only.
func hasHome() bool {
	home, err := os.UserHomeDir()
	if err != nil {
		return false
	}
	_, err = os.Stat(home)
	return err == nil
}

// temporaryDir returns the user's own folder under a parent where anybody may
// make one.
func temporaryDir(parent string) (string, error) {
	dir := filepath.Join(parent, fmt.Sprintf("enotify-%d", os.Getuid()))
	return dir, makeDir(dir)
}

// makeDir makes a folder that the server may pass through and nobody else may
// look into. One that exists must be ours, and no link to elsewhere: in /tmp
// somebody else may have put it there.
func makeDir(dir string) error {
	mode := fs.FileMode(0o700)
	if os.Getuid() == 0 {
		mode = 0o711
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	if os.Getuid() == 0 { // only then: for others DefaultDir may make its folder by this function
		if ours, err := DefaultDir(); err == nil && dir == ours {
			if err := letPass(filepath.Dir(dir)); err != nil {
				return err
			}
		}
	}
	err := os.Mkdir(dir, mode)
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	if owner := info.Sys().(*syscall.Stat_t).Uid; !info.IsDir() || int(owner) != os.Getuid() {
		return fmt.Errorf("%s should be a folder that belongs to user %d", dir, os.Getuid())
	}
	return nil
}

// letPass lets the server, which for root is another user, pass through the
// folder of enotify around its own. A node that keeps its journal there may have
// made it, for itself alone.
func letPass(parent string) error {
	info, err := os.Stat(parent)
	if err != nil {
		return err
	}
	const pass = 0o011
	if info.Mode()&pass == pass {
		return nil
	}
	return os.Chmod(parent, info.Mode().Perm()|pass)
}
