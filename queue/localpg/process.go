package localpg

import (
	"context"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// A process is a child that ends with us.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
	err  error         // how it ended; after done
}

// command prepares a program of PostgreSQL for a folder. Its own process
// group keeps the terminal's Ctrl-C from it: we decide when it ends.
func (f folder) command(program string, a account, log *os.File, args ...string) *exec.Cmd {
	cmd := exec.Command(program, args...)
	cmd.Dir = "/"
	// The language of its messages is known, and no PG… setting of ours gets in.
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "TZ=UTC"}
	cmd.Stdout, cmd.Stderr = log, log
	cmd.ExtraFiles = []*os.File{f.lock}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: a, Setpgid: true}
	return cmd
}

// spawn starts a command that ends when this process does.
func spawn(cmd *exec.Cmd) (*process, error) {
	p := &process{cmd: cmd, done: make(chan struct{})}
	started := make(chan error)
	go func() {
		// Linux takes the end of the thread that started a child for the end
		// of its parent (PR_SET_PDEATHSIG in prctl(2)), so this thread stays.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		unbind, err := startBound(cmd)
		started <- err
		if err != nil {
			return
		}
		p.err = cmd.Wait()
		unbind()
		close(p.done)
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// wait returns how the process ended. When ctx ends first, it ends it.
func (p *process) wait(ctx context.Context) error {
	select {
	case <-p.done:
		return p.err
	case <-ctx.Done():
		p.stop(ctx, syscall.SIGTERM)
		return ctx.Err()
	}
}

// patience is how long a server that was told to stop at once is waited for.
// It is more than the 5 s after which the postmaster itself kills its children.
const patience = 10 * time.Second

// stop signals the process and returns when it has ended. When ctx ends
// first, a server skips what it would do for a quick next start.
func (p *process) stop(ctx context.Context, how os.Signal) {
	_ = p.cmd.Process.Signal(how) // its only error is that it has ended
	select {
	case <-p.done:
		return
	case <-ctx.Done():
	}
	_ = p.cmd.Process.Signal(syscall.SIGQUIT)
	select {
	case <-p.done:
		return
	case <-time.After(patience):
	}
	_ = p.cmd.Process.Kill()
	<-p.done
}
