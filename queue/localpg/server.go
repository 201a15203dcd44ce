package localpg

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"syscall"
	"time"
)

// Options say which server is wanted. The zero value is the one that keeps
// its data from one start to the next.
type Options struct {
	// Dir is the server's folder, made when it does not exist; or when
	// Ephemeral, the folder in which the server's own is made. "" means one
	// that belongs to the user.
	Dir string

	// Ephemeral removes the server's folder at its end. What a killed process
	// leaves behind is removed by the next start of an ephemeral server.
	Ephemeral bool

	// Unsafe trades durability for speed, as tests may: fsync and
	// synchronous_commit are off, and a crash of the machine may cost all data.
	Unsafe bool
}

// A Server is a running PostgreSQL.
type Server struct {
	url       string
	ephemeral string               // the folder to remove at the end, "" for none
	quit      chan context.Context // Stop's, for the goroutine that keeps the server
	gone      chan struct{}        // closed when that has ended
}

// startTimeout limits a start that waits for something that will not come. It
// leaves time for initdb on a slow disk and for recovery after a crash.
const startTimeout = 2 * time.Minute

// Start returns a server that accepts connections. It starts one, unless that
// of the folder runs already: then it attaches to it, and starts it again
// should the process end that had. ctx limits the start alone.
func Start(ctx context.Context, o Options) (*Server, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()

	s, err := start(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("private PostgreSQL: %w", err)
	}
	return s, nil
}

func start(ctx context.Context, o Options) (*Server, error) {
	f, err := open(ctx, o)
	if err != nil {
		return nil, err
	}
	s := &Server{quit: make(chan context.Context), gone: make(chan struct{})}
	if f.lock == nil {
		if s.url, err = f.readURL(); err != nil {
			return nil, err
		}
		go s.follow(f, o.Unsafe)
		return s, nil
	}
	if o.Ephemeral {
		s.ephemeral = f.dir
	}
	p, url, err := f.run(ctx, o.Unsafe)
	if err != nil {
		return nil, errors.Join(err, s.clear(), f.lock.Close())
	}
	s.url = url
	go s.keep(f, p)
	return s, nil
}

// keep gives the lock back when the server has ended: by Stop, or by itself,
// and then another process may start it.
func (s *Server) keep(f folder, p *process) {
	defer close(s.gone)
	defer f.lock.Close()
	select {
	case <-p.done:
	case ctx := <-s.quit:
		how := syscall.SIGINT // "fast shutdown"
		if s.ephemeral != "" {
			how = syscall.SIGQUIT // "immediate shutdown"
		}
		p.stop(ctx, how)
	}
}

// followEvery is how often we look whether a server of another process ended.
const followEvery = 50 * time.Millisecond

// follow starts the server again, where clients expect it, when the process
// ends that had started it: that may have been one command of a second, and
// we a node that has a week to go.
func (s *Server) follow(f folder, unsafe bool) {
	for f.lock == nil {
		select {
		case <-s.quit:
			close(s.gone)
			return
		case <-time.After(followEvery):
		}
		f.lock, _ = tryLock(f.path("lock")) // an error may pass: it is asked again
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	p, url, err := f.run(ctx, unsafe)
	if err == nil && url == s.url {
		s.keep(f, p)
		return
	}
	if err == nil {
		err = errors.New("its port is taken")
		p.stop(ctx, syscall.SIGINT)
	}
	slog.Error("the private PostgreSQL ended with the process that had started it, and cannot be started again",
		"error", err)
	f.lock.Close()
	close(s.gone)
}

// URL is how to connect to the server as its superuser.
func (s *Server) URL() string { return s.url }

// Stop ends the server and its connections, and returns when all is gone. One
// that another process started goes on. When ctx ends first, the server is
// stopped the hard way: no data is lost, but the next start has to recover
// them.
func (s *Server) Stop(ctx context.Context) error {
	select {
	case s.quit <- ctx:
		<-s.gone
	case <-s.gone:
	}
	return s.clear()
}

func (s *Server) clear() error {
	if s.ephemeral == "" {
		return nil
	}
	return os.RemoveAll(s.ephemeral)
}
