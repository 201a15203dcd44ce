package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"enotify/queue"
)

// logger writes to standard error, as --log and --verbose say.
func (a *app) logger() *slog.Logger {
	level := slog.LevelInfo
	if a.verbose {
		level = slog.LevelDebug
	}
	return slog.New(a.logHandler(a.stderr, level))
}

func (a *app) logHandler(w io.Writer, level slog.Level) slog.Handler {
	options := &slog.HandlerOptions{Level: level, ReplaceAttr: inWords}
	if a.logFormat == "json" {
		return slog.NewJSONHandler(w, options)
	}
	return slog.NewTextHandler(w, options)
}

// inWords names the level of attempts, which slog would call DEBUG+2, and says what
// PostgreSQL answered as an error of a verb does.
func inWords(groups []string, attr slog.Attr) slog.Attr {
	if level, ok := attr.Value.Any().(slog.Level); ok && len(groups) == 0 && attr.Key == slog.LevelKey &&
		level == queue.LevelAttempt {
		attr.Value = slog.StringValue("ATTEMPT")
	}
	if err, ok := attr.Value.Any().(error); ok {
		attr.Value = slog.StringValue(queue.AsRefusal(err).Error())
	}
	return attr
}

// attemptLog is where run logs each message on its way: the file of --log-attempts,
// "-" for standard output, else the log, which shows it with --verbose. SIGHUP opens
// the file again, until ctx ends.
func (a *app) attemptLog(ctx context.Context, path string, log *slog.Logger) (attempts *slog.Logger, stop func(),
	err error) {
	var file *reopening
	switch path {
	case "":
		attempts = log
	case "-":
		attempts = slog.New(a.logHandler(a.stdout, queue.LevelAttempt))
	default:
		file = &reopening{path: path, log: log}
		if err := file.reopen(); err != nil {
			return nil, nil, fmt.Errorf("--log-attempts: %w; name a file that this user may write", err)
		}
		attempts = slog.New(a.logHandler(file, queue.LevelAttempt))
	}
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	go func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-hangup:
			}
			switch err := file.reopen(); {
			case file == nil:
				log.Info("SIGHUP: there is no log file to open again")
			case err != nil:
				log.Warn("the file of --log-attempts could not be opened again; the old one goes on", "error", err)
			default:
				log.Info("the file of --log-attempts was opened again", "file", path)
			}
		}
	}()
	return attempts, func() { signal.Stop(hangup); file.close() }, nil
}

// A reopening is a log file that others move away and have opened again. A line that
// cannot be written is lost, and holds nothing up.
type reopening struct {
	path string
	log  *slog.Logger // told of the first line that is lost

	mu     sync.Mutex
	file   *os.File
	failed bool
}

func (r *reopening) reopen() error {
	if r == nil {
		return nil
	}
	file, err := os.OpenFile(r.path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o640)
	if err != nil {
		return err
	}
	r.mu.Lock()
	old := r.file
	r.file = file
	r.mu.Unlock()
	if old != nil {
		return old.Close()
	}
	return nil
}

// Write is that of [io.Writer].
func (r *reopening) Write(line []byte) (int, error) {
	r.mu.Lock()
	n, err := r.file.Write(line)
	first := err != nil && !r.failed
	r.failed = err != nil
	r.mu.Unlock()
	if first {
		r.log.Warn("the file of --log-attempts cannot be written; lines are lost until it can", "error", err)
	}
	return n, err
}

func (r *reopening) close() {
	if r != nil {
		_ = r.file.Close()
	}
}
