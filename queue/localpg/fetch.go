package localpg

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strconv"

	embeddedpostgres "github.com/fergusstrange/embedded-postgres"
)

// fetchable are the versions that can be had, by major version.
var fetchable = map[int]embeddedpostgres.PostgresVersion{
	anyMajor: embeddedpostgres.V18,
	18:       embeddedpostgres.V18,
	17:       embeddedpostgres.V17,
	16:       embeddedpostgres.V16,
	15:       embeddedpostgres.V15,
}

// fetch returns the folder of the programs of a major version, which it
// downloads for this system and keeps in the user's cache.
func fetch(ctx context.Context, major int) (bin string, err error) {
	if os.Getuid() == 0 {
		return "", errors.New("for root it is not fetched, as PostgreSQL does not run as root")
	}
	version, ok := fetchable[major]
	if !ok {
		return "", fmt.Errorf("version %d cannot be fetched", major)
	}
	dir, err := fetchDir()
	if err != nil {
		return "", fmt.Errorf("there is no folder to fetch it to: %w", err)
	}
	home := filepath.Join(dir, "postgresql-"+string(version))
	bin = filepath.Join(home, "bin")
	if majorIn(ctx, bin) != 0 {
		return bin, nil
	}
	slog.InfoContext(ctx, "no PostgreSQL is installed (apt-get install postgresql): fetching one from Maven Central",
		"version", string(version))

	fetched := make(chan error, 1)
	go func() { fetched <- fetchInto(home, version) }() // it cannot be interrupted
	select {
	case err = <-fetched:
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		return "", fmt.Errorf("fetching version %s from Maven Central failed: %w", version, err)
	}
	return bin, nil
}

// fetchDir is where fetched programs are kept, a folder for each version.
func fetchDir() (string, error) {
	if !hasHome() {
		return temporaryDir("/var/tmp")
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "enotify")
	return dir, makeDir(dir)
}

// fetchInto makes the folder home, with all programs or not at all. The
// library fetches only in order to run a server, so it does, once.
func fetchInto(home string, version embeddedpostgres.PostgresVersion) (err error) {
	scratch, err := os.MkdirTemp(filepath.Dir(home), "fetching-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(scratch)) }()

	u := &url.URL{Host: "127.0.0.1"}
	if err := setFreePort(u); err != nil {
		return err
	}
	port, err := strconv.ParseUint(u.Port(), 10, 16)
	if err != nil {
		return err
	}
	programs := filepath.Join(scratch, "programs")
	db := embeddedpostgres.NewDatabase(embeddedpostgres.DefaultConfig().
		Version(version).
		Port(uint32(port)).
		CachePath(filepath.Join(scratch, "archive")).
		RuntimePath(filepath.Join(scratch, "run")).
		DataPath(filepath.Join(scratch, "data")).
		BinariesPath(programs).
		StartParameters(map[string]string{"unix_socket_directories": ""}). // its usual folder may be closed to us
		Logger(io.Discard))
	if err := db.Start(); err != nil {
		return err
	}
	if err := db.Stop(); err != nil {
		return err
	}
	err = os.Rename(programs, home)
	if _, statErr := os.Stat(filepath.Join(home, "bin")); statErr == nil {
		return nil // another process may have been first
	}
	return err
}
