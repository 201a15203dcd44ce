package queuetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"enotify/migrations"
	"enotify/queue/localpg"
)

// A seed is the data of a server that was started and stopped, as a tar file in
// memory, of which nothing is left when the process ends. To unpack it takes a tenth
// of the time of initdb and the migrations.
type seed struct {
	data []byte
	url  string
}

// The context is not the first test's, which would end too soon.
var (
	bareSeed     = sync.OnceValues(func() (seed, error) { return seed{}.grow(context.Background()) })
	migratedSeed = sync.OnceValues(func() (seed, error) {
		bare, err := bareSeed()
		if err != nil {
			return seed{}, err
		}
		return bare.grow(context.Background(), migrate)
	})
)

// OwnDir returns the folder of a server for [localpg.Start], which has made its data
// already; Dir/data is the data folder. The folder is removed when the test ends, and
// the test stops the server before. With migrated the database of the URL has the schema.
func OwnDir(tb testing.TB, migrated bool) string {
	tb.Helper()
	get := bareSeed
	if migrated {
		get = migratedSeed
	}
	s, err := get()
	if err != nil {
		tb.Fatalf("queuetest: %v", err)
	}
	dir, err := newOwnDir()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { os.RemoveAll(dir) })
	if err := s.plant(dir); err != nil {
		tb.Fatalf("queuetest: %v", err)
	}
	return dir
}

func newOwnDir() (string, error) {
	dir, err := os.MkdirTemp("/var/tmp", "enotify-own-")
	if err != nil {
		return "", err
	}
	return dir, os.Chmod(dir, 0o711) // as root, the server is another user
}

// grow starts a server on the data of s, or on new data where s has none, does what
// there is to be done, and stops it.
func (s seed) grow(ctx context.Context, do ...func(ctx context.Context, url string) error) (grown seed, err error) {
	dir, err := newOwnDir()
	if err != nil {
		return seed{}, err
	}
	defer os.RemoveAll(dir)
	if s.data != nil {
		if err := s.plant(dir); err != nil {
			return seed{}, err
		}
	}
	server, err := localpg.Start(ctx, localpg.Options{Dir: dir, Unsafe: true})
	if err != nil {
		return seed{}, err
	}
	for _, step := range do {
		err = errors.Join(err, step(ctx, server.URL()))
	}
	if err := errors.Join(err, server.Stop(ctx)); err != nil {
		return seed{}, err
	}
	data, err := tar(nil, "-C", dir, "-cf", "-", "data")
	return seed{data, server.URL()}, err
}

// plant makes the data and the URL in a folder. As root, tar gives the files to the
// user that they belonged to.
func (s seed) plant(dir string) error {
	if _, err := tar(s.data, "-C", dir, "-xpf", "-"); err != nil {
		return err
	}
	u, err := url.Parse(s.url)
	if err != nil {
		return err
	}
	free, err := net.Listen("tcp", net.JoinHostPort(u.Hostname(), "0"))
	if err != nil {
		return err
	}
	u.Host = free.Addr().String()
	return errors.Join(free.Close(), os.WriteFile(filepath.Join(dir, "url"), []byte(u.String()), 0o600))
}

func tar(input []byte, args ...string) (output []byte, err error) {
	cmd := exec.Command("tar", args...)
	var said bytes.Buffer
	cmd.Stdin, cmd.Stderr = bytes.NewReader(input), &said
	if output, err = cmd.Output(); err != nil {
		return nil, fmt.Errorf("%v: %w: %s", cmd, err, said.String())
	}
	return output, nil
}

func migrate(ctx context.Context, url string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = migrations.Up(ctx, conn)
	return err
}
