package localpg

import (
	"context"
	"errors"
	"fmt"
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
	ephemeral string   // the folder to remove at the end, "" for none
	process   *process // nil when the server belongs to another process
	released  chan struct{}
}

// startTimeout limits a start that waits for something that will not come. It
// leaves time for initdb on a slow disk and for recovery after a crash.
const startTimeout = 2 * time.Minute

// Start returns a server that accepts connections. It starts one, unless that
// of the folder runs already: then it attaches to it, and the server ends
// with the process that did start it. ctx limits the start alone.
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
	if f.lock == nil {
		url, err := f.readURL()
		return &Server{url: url}, err
	}
	p, url, err := f.run(ctx, o.Unsafe)
	if err != nil {
		if o.Ephemeral {
			err = errors.Join(err, os.RemoveAll(f.dir))
		}
		return nil, errors.Join(err, f.lock.Close())
	}
	s := &Server{url: url, process: p, released: make(chan struct{})}
	if o.Ephemeral {
		s.ephemeral = f.dir
	}
	go func() { // also when the server ends by itself: another process may start it then
		defer close(s.released)
		<-p.done
		f.lock.Close()
	}()
	return s, nil
}

// URL is how to connect to the server as its superuser.
func (s *Server) URL() string { return s.url }

// Stop ends the server and its connections, and returns when all is gone. A
// server that another process started goes on. When ctx ends first, the
// server is stopped the hard way: no data is lost, but the next start has to
// recover them.
func (s *Server) Stop(ctx context.Context) error {
	if s.process == nil {
		return nil
	}
	how := syscall.SIGINT // "fast shutdown"
	if s.ephemeral != "" {
		how = syscall.SIGQUIT // "immediate shutdown"
	}
	s.process.stop(ctx, how)
	<-s.released
	if s.ephemeral == "" {
		return nil
	}
	return os.RemoveAll(s.ephemeral)
}
