package localpg_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"enotify/queue/localpg"
)

func TestServerDiesWithKilledParent(t *testing.T) {
	t.Parallel()
	for name, user := range users() {
		for _, ephemeral := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, ephemeral %v", name, ephemeral), func(t *testing.T) {
				t.Parallel()
				dir := openDir(t, user)
				c := startChild(t, user, localpg.Options{Dir: dir, Ephemeral: ephemeral, Unsafe: ephemeral})
				conn := connect(t, c.url)

				c.kill(t)

				if err := conn.PgConn().WaitForNotification(timeout(t)); err == nil || pgconn.Timeout(err) {
					t.Fatalf("the connection outlived the killed parent (%v)", err)
				}
				home := dir
				if ephemeral {
					home = servers(t, dir)[0]
				}
				waitUnlocked(t, filepath.Join(home, "lock"))
				_, err := net.Dial("tcp", "127.0.0.1:"+port(t, c.url))
				if !errors.Is(err, syscall.ECONNREFUSED) {
					t.Errorf("dial after the server's end: got %v, want connection refused", err)
				}
			})
		}
	}
}

// timeout ends what would last for ever when the code is broken.
func timeout(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// waitUnlocked returns when every process has ended that had the lock.
func waitUnlocked(t *testing.T, path string) {
	t.Helper()
	lock, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
}

func TestServerIsNotReachedByCtrlC(t *testing.T) {
	t.Parallel()
	dir := openDir(t, nil)
	c := startChild(t, nil, localpg.Options{Dir: dir, Unsafe: true})
	text, err := os.ReadFile(filepath.Join(dir, "data/postmaster.pid"))
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(first)
	if err != nil {
		t.Fatal(err)
	}
	group, err := syscall.Getpgid(pid)
	if err != nil {
		t.Fatal(err)
	}
	if ours := c.cmd.Process.Pid; group == ours { // it leads its own, see tryChild
		t.Errorf("the server is in process group %d, its parent's", group)
	}
}

func TestAttach(t *testing.T) {
	t.Parallel()
	for name, user := range users() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := localpg.Options{Dir: openDir(t, user), Unsafe: true}
			owner := startChild(t, user, o)
			guest := startChild(t, user, o)
			if diff := cmp.Diff(owner.url, guest.url); diff != "" {
				t.Errorf("URLs of the two (-owner +guest):\n%s", diff)
			}

			guest.stop()

			if got, want := query[int](t, owner.url, "SELECT 1"), 1; got != want {
				t.Errorf("after the guest has gone: got %d, want %d", got, want)
			}
			owner.stop()
			if _, err := pgx.Connect(t.Context(), owner.url); err == nil {
				t.Error("the server outlived its owner")
			}
		})
	}
}

// TestGuestTakesOver kills the process that had started the server, and then
// the one that took over.
func TestGuestTakesOver(t *testing.T) {
	t.Parallel()
	o := localpg.Options{Dir: openDir(t, nil)}
	owner := startChild(t, nil, o)
	guests := []child{startChild(t, nil, o), startChild(t, nil, o)}
	execute(t, owner.url, `CREATE TABLE kept AS SELECT 1 AS one`)
	held := connect(t, owner.url)

	owner.kill(t)

	if err := held.PgConn().WaitForNotification(timeout(t)); err == nil || pgconn.Timeout(err) {
		t.Fatalf("the connection outlived the killed owner (%v)", err)
	}
	waitAnswer(t, owner.url)
	if got, want := query[int](t, owner.url, "SELECT one FROM kept"), 1; got != want {
		t.Errorf("got %d, want %d", got, want)
	}
	guests[0].stop()
	waitAnswer(t, owner.url) // of the second guest now, if the first had it
	guests[1].stop()
	if _, err := pgx.Connect(t.Context(), owner.url); err == nil {
		t.Error("the server outlived all who used it")
	}
}

// waitAnswer returns when the server accepts connections.
func waitAnswer(t *testing.T, url string) {
	t.Helper()
	for ctx := timeout(t); ; {
		conn, err := pgx.Connect(ctx, url)
		if err == nil {
			conn.Close(ctx)
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("nobody has started the server again: %v", err)
		}
	}
}

func TestStartAfterKill(t *testing.T) {
	t.Parallel()
	o := localpg.Options{Dir: openDir(t, nil)}
	c := startChild(t, nil, o)
	execute(t, c.url, `CREATE TABLE kept AS SELECT 1 AS one`)

	c.kill(t)
	s := start(t, o) // the url file and perhaps the server are still there

	if got, want := query[int](t, s.URL(), "SELECT one FROM kept"), 1; got != want {
		t.Errorf("got %d, want %d", got, want)
	}
}

func TestTwoAtOnceShareOneServer(t *testing.T) {
	t.Parallel()
	const processes = 4
	dir := openDir(t, nil)
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex
		urls = map[string]int{}
	)
	for range processes {
		wg.Go(func() {
			c, err := tryChild(t, nil, localpg.Options{Dir: dir, Unsafe: true})
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			urls[c.url]++
		})
	}
	wg.Wait()
	if len(urls) != 1 {
		t.Errorf("got %v, want one URL for all %d", urls, processes)
	}
	log, err := os.ReadFile(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Count(string(log), "starting PostgreSQL"), 1; got != want {
		t.Errorf("servers started: got %d, want %d\n%s", got, want, log)
	}
}

func TestLeftoversAreRemoved(t *testing.T) {
	t.Parallel()
	o := localpg.Options{Dir: openDir(t, nil), Ephemeral: true, Unsafe: true}
	killed := startChild(t, nil, o)
	leftover := servers(t, o.Dir)[0]
	living := startChild(t, nil, o)
	killed.kill(t)
	waitUnlocked(t, filepath.Join(leftover, "lock"))

	start(t, o)

	if _, err := os.Stat(leftover); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("folder of the killed server: got %v, want it removed", err)
	}
	if got, want := query[int](t, living.url, "SELECT 1"), 1; got != want {
		t.Errorf("the living server: got %d, want %d", got, want)
	}
	if got, want := len(servers(t, o.Dir)), 2; got != want {
		t.Errorf("folders: got %d, want %d", got, want)
	}
}

func TestStopHard(t *testing.T) {
	t.Parallel()
	o := localpg.Options{Dir: openDir(t, nil)}
	s := start(t, o)
	execute(t, s.URL(), `CREATE TABLE kept AS SELECT 1 AS one`)

	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.Stop(ctx); err != nil {
		t.Fatal(err)
	}

	again := start(t, o)
	if got, want := query[int](t, again.URL(), "SELECT one FROM kept"), 1; got != want {
		t.Errorf("got %d, want %d", got, want)
	}
}
