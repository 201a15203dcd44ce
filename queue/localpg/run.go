package localpg

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// portTries is how many ports are tried. Somebody may take one between the
// moment we find it free and the moment the server listens.
const portTries = 5

var errPortTaken = errors.New("the port is taken")

// run starts the server of a folder, which must be locked, and returns its
// URL when it accepts connections.
func (f folder) run(ctx context.Context, unsafe bool) (*process, string, error) {
	a, err := accountFor(f.path("data"))
	if err != nil {
		return nil, "", err
	}
	log, err := os.OpenFile(f.path("log"), os.O_WRONLY|os.O_CREATE|os.O_TRUNC|os.O_APPEND, 0o600)
	if err != nil {
		return nil, "", err
	}
	defer log.Close() // the server has its own
	bin, err := f.cluster(ctx, a, log, unsafe)
	if err != nil {
		return nil, "", err
	}
	u, err := f.lastURL()
	if err != nil {
		return nil, "", err
	}
	for range portTries { // the port of the last time is tried first: clients know it
		var p *process
		if p, err = f.listen(ctx, bin, a, log, u, unsafe); err == nil {
			return p, u.String(), nil
		}
		if !errors.Is(err, errPortTaken) {
			break
		}
		if err := setFreePort(u); err != nil {
			return nil, "", err
		}
		if err := f.writeURL(u.String()); err != nil {
			return nil, "", err
		}
	}
	return nil, "", err
}

// listen starts the server on the port of u and returns when it accepts
// connections there. Its error is errPortTaken when another port may do.
func (f folder) listen(ctx context.Context, bin string, a account, log *os.File, u *url.URL, unsafe bool) (*process,
	error) {
	args := []string{
		"-D", f.path("data"), "-p", u.Port(),
		"-c", "listen_addresses=" + u.Hostname(), "-c", "unix_socket_directories=",
		"-c", "log_checkpoints=off",
	}
	if unsafe {
		args = append(args, "-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off")
	}
	if err := log.Truncate(0); err != nil { // it is searched below
		return nil, err
	}
	p, err := spawn(f.command(filepath.Join(bin, "postgres"), a, log, args...))
	if err != nil {
		return nil, err
	}
	poll := time.NewTicker(pollEvery)
	defer poll.Stop()
	for !f.ready(p.cmd.Process.Pid) {
		select {
		case <-poll.C:
		case <-p.done:
			if strings.Contains(f.logged(), "could not create any TCP/IP sockets") {
				return nil, errPortTaken
			}
			return nil, fmt.Errorf("the server ended at its start (%w): %s", p.err, f.logEnd())
		case <-ctx.Done():
			p.stop(ctx, os.Interrupt)
			return nil, fmt.Errorf("%w while the server started: %s", ctx.Err(), f.logEnd())
		}
	}
	return p, nil
}

// ready reports whether the server with this process ID accepts connections.
// It says so in the file that pg_ctl looks at too (pidfile.h of PostgreSQL).
func (f folder) ready(pid int) bool {
	const statusLine = 7 // counted from 0
	text, err := os.ReadFile(f.path("data/postmaster.pid"))
	lines := strings.Split(string(text), "\n")
	return err == nil && len(lines) > statusLine &&
		lines[0] == strconv.Itoa(pid) && strings.TrimSpace(lines[statusLine]) == "ready"
}

// lastURL returns how the server was reached the last time.
func (f folder) lastURL() (*url.URL, error) {
	text, err := f.readURL()
	if err != nil {
		return nil, fmt.Errorf("the password of the data in %s is lost: %w", f.path("data"), err)
	}
	return url.Parse(text)
}

// setFreePort puts a port into u that nobody listens on.
func setFreePort(u *url.URL) error {
	l, err := net.Listen("tcp", net.JoinHostPort(u.Hostname(), "0"))
	if err != nil {
		return err
	}
	u.Host = net.JoinHostPort(u.Hostname(), strconv.Itoa(l.Addr().(*net.TCPAddr).Port))
	return l.Close()
}

func (f folder) logged() string {
	text, _ := os.ReadFile(f.path("log")) // it is only quoted in errors
	return string(text)
}

// logEnd quotes the last lines of the log, in one.
func (f folder) logEnd() string {
	const quoted = 4
	lines := strings.Split(strings.TrimSpace(f.logged()), "\n")
	return fmt.Sprintf("%s ends with %q", f.path("log"), strings.Join(lines[max(0, len(lines)-quoted):], " / "))
}
