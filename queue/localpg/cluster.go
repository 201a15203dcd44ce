package localpg

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// superuser is the login and the database of the URL, as PostgreSQL has them
// by custom.
const superuser = "postgres"

// cluster returns the folder of the programs that can run the data, and makes
// the data if there are none.
func (f folder) cluster(ctx context.Context, a account, log *os.File, unsafe bool) (bin string, err error) {
	version, err := os.ReadFile(f.path("data/PG_VERSION"))
	if errors.Is(err, fs.ErrNotExist) {
		bin, err := binaries(ctx, anyMajor)
		if err != nil {
			return "", err
		}
		return bin, f.initdb(ctx, bin, a, log, unsafe)
	}
	if err != nil {
		return "", err
	}
	major, err := strconv.Atoi(strings.TrimSpace(string(version)))
	if err != nil {
		return "", fmt.Errorf("%s: %w", f.path("data/PG_VERSION"), err)
	}
	bin, err = binaries(ctx, major)
	if err != nil {
		return "", fmt.Errorf("for the data in %s: %w", f.path("data"), err)
	}
	return bin, nil
}

// initdb makes the data, whole or not at all, and writes the URL with a new
// password.
func (f folder) initdb(ctx context.Context, bin string, a account, log *os.File, unsafe bool) error {
	password := rand.Text()
	passwordFile := f.path("password.new")
	if err := os.WriteFile(passwordFile, []byte(Verifier(password)), 0o600); err != nil {
		return err
	}
	defer os.Remove(passwordFile)
	if err := give(passwordFile, a); err != nil {
		return err
	}
	args := []string{
		"-D", f.path("data.new"), "--username", superuser, "--pwfile", passwordFile,
		"--auth", "scram-sha-256", "--encoding", "UTF8", "--no-instructions",
	}
	if unsafe {
		args = append(args, "--no-sync")
	}
	// Not every system has C.UTF-8, which knows letters beyond ASCII.
	err := f.tryInitdb(ctx, bin, a, log, append(args, "--locale", "C.UTF-8"))
	if err != nil && strings.Contains(f.logged(), "invalid locale name") {
		err = f.tryInitdb(ctx, bin, a, log, append(args, "--locale", "C"))
	}
	if err != nil {
		return fmt.Errorf("initdb: %w: %s", err, f.logEnd())
	}
	u := &url.URL{
		Scheme: "postgres", User: url.UserPassword(superuser, password), Host: "127.0.0.1",
		Path: superuser, RawQuery: "sslmode=disable",
	}
	if err := setFreePort(u); err != nil {
		return err
	}
	if err := f.writeURL(u.String()); err != nil {
		return err
	}
	return os.Rename(f.path("data.new"), f.path("data"))
}

func (f folder) tryInitdb(ctx context.Context, bin string, a account, log *os.File, args []string) error {
	if err := os.RemoveAll(f.path("data.new")); err != nil { // of a start that was killed
		return err
	}
	if err := os.Mkdir(f.path("data.new"), 0o700); err != nil {
		return err
	}
	if err := give(f.path("data.new"), a); err != nil {
		return err
	}
	p, err := spawn(f.command(filepath.Join(bin, "initdb"), a, log, args...))
	if err != nil {
		return err
	}
	return p.wait(ctx)
}
