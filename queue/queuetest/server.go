package queuetest

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"sync"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"

	"enotify/migrations"
	"enotify/queue/localpg"
)

// private is the server of this process, if one was started.
var private *localpg.Server

// Main runs the tests of a package and stops the private server.
func Main(m *testing.M) { os.Exit(Run(m)) }

// Run is [Main] for a TestMain that has more to do afterwards: it returns the
// exit code.
func Run(m *testing.M) int {
	code := m.Run()
	if private != nil {
		if err := private.Stop(context.Background()); err != nil {
			fmt.Fprintln(os.Stderr, "queuetest:", err)
			code = 1
		}
	}
	return code
}

// The context is not the first test's, which would end too soon.
var (
	serverURL    = sync.OnceValues(func() (string, error) { return startServer(context.Background()) })
	templateMade = sync.OnceValue(func() error { return makeTemplate(context.Background()) })
)

func startServer(ctx context.Context) (url string, err error) {
	if url := os.Getenv("ENOTIFY_TEST_DATABASE_URL"); url != "" {
		return url, nil
	}
	if private, err = localpg.Start(ctx, localpg.Options{Dir: memoryDir(), Ephemeral: true, Unsafe: true}); err != nil {
		return "", err
	}
	return private.URL(), nil
}

// memoryDir names a folder of a file system in memory, "" when there is none
// with room for what tests and benchmarks write. Most of the time that a new
// database takes goes into making 300 files, which is slow on some disks.
func memoryDir() string {
	const parent, enoughBytes = "/dev/shm", 4 << 30
	var fs syscall.Statfs_t
	if err := syscall.Statfs(parent, &fs); err != nil || fs.Bavail*uint64(fs.Bsize) < enoughBytes {
		return ""
	}
	return fmt.Sprintf("%s/enotify-test-%d", parent, os.Getuid())
}

// template is the name of the database to copy.
func template() string { return "enotify_template_" + migrations.Hash() }

// makeTemplate makes the template unless the server has it. It gets its name
// when it is complete, so that a killed process leaves no half of one.
func makeTemplate(ctx context.Context) error {
	server, err := serverURL()
	if err != nil {
		return err
	}
	conn, err := pgx.Connect(ctx, server)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	// Other test processes may be about to do the same. The lock ends with the
	// connection; its number is "enotest" in ASCII.
	if _, err := conn.Exec(ctx, `SELECT pg_advisory_lock(x'656e6f74657374'::bigint)`); err != nil {
		return err
	}
	var exists bool
	err = conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)`, template()).Scan(&exists)
	if err != nil || exists {
		return err
	}
	draft := template() + "_draft"
	if _, err := conn.Exec(ctx, `DROP DATABASE IF EXISTS `+draft+` WITH (FORCE)`); err != nil {
		return err
	}
	if _, err := conn.Exec(ctx, createSQL(draft, "template0")); err != nil {
		return err
	}
	if err := migrateIn(ctx, server, draft); err != nil {
		return err
	}
	_, err = conn.Exec(ctx, `ALTER DATABASE `+draft+` RENAME TO `+template())
	return err
}

// migrateIn migrates a database of the server.
func migrateIn(ctx context.Context, server, database string) error {
	u, err := url.Parse(server)
	if err != nil {
		return err
	}
	u.Path = "/" + database
	return migrate(ctx, u.String())
}
