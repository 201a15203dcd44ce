// Command enotify sends notifications for many client domains: guarded,
// throttled, one batch at a time, no recipient lost or sent to twice.
//
// The rules of its command line:
//   - enotify <noun> <verb>, a file per noun
//   - results go to stdout, progress and logs to stderr
//   - every flag has a twin in the environment, --database-url is ENOTIFY_DATABASE_URL; where a
//     verb stores something else by the name of a node's setting, it has none
//   - what lists or shows takes -o table or -o json
//   - what destroys asks first, and without a terminal needs --yes
//   - an error is one line that says what to do; package exit has the exit codes
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
	_ "time/tzdata" // TZ counts in the image too, which has no files of time zones

	"enotify/cmd/enotify/exit"
	"enotify/cmd/enotify/term"
	"enotify/queue"
)

// version is set at build time with -ldflags "-X main.version=…".
var version = "dev"

func main() {
	err := run(interruptible(), os.Args[1:], os.Getenv, os.Stdin, os.Stdout, os.Stderr)
	os.Exit(exitCode(err, os.Stderr))
}

// sameSignal is how long after the first signal others are taken for the same:
// timeout(1) and some supervisors signal the process and its group, which is twice.
const sameSignal = time.Second

// interruptible returns a context that the first SIGINT or SIGTERM ends. One that
// comes more than [sameSignal] later kills.
func interruptible() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		first := time.Now()
		cancel()
		again := <-signals
		for time.Since(first) < sameSignal {
			again = <-signals
		}
		signal.Reset(os.Interrupt, syscall.SIGTERM)
		self, err := os.FindProcess(os.Getpid())
		if err != nil || self.Signal(again) != nil {
			os.Exit(exit.Failed)
		}
	}()
	return ctx
}

// run is the whole program, except for the process around it.
func run(ctx context.Context, args []string, getenv func(string) string, stdin io.Reader, stdout,
	stderr io.Writer) error {
	a := &app{getenv: getenv, stdin: stdin, stdout: stdout, stderr: stderr}
	root := a.rootCmd()
	plainFlags(root, term.Columns(stdout, getenv))
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	cmd, err := root.ExecuteContextC(ctx)
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return errors.New("interrupted")
	}
	if err != nil && !a.begun && !errors.As(err, &exit.Error{}) {
		return exit.Usagef("%w; see %s --help", err, cmd.CommandPath()) // cobra's own: arguments
	}
	return queue.AsRefusal(err) // whatever verb forgot to: no person reads the words of a driver
}

// exitCode prints the error as one line, and says with what to exit.
func exitCode(err error, stderr io.Writer) int {
	if err != nil && err.Error() != "" {
		text := err.Error()
		if what := next(err); what != "" {
			text += "; " + what
		}
		fmt.Fprintln(stderr, "enotify:", oneLine(text))
	}
	return exit.Code(err)
}

func oneLine(text string) string {
	return term.Visible(strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' }),
		"; "))
}
