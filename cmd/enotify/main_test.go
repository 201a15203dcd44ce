package main

import (
	"os"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"enotify/queue/queuetest"
)

// TestMain makes the test binary the program itself when it is started under
// the name enotify: by the scripts, and by tests that need a process to kill. Under the
// name hookreceiver it takes the messages of a webhook.
func TestMain(m *testing.M) {
	testscript.Main(withDatabase{m}, map[string]func(){"enotify": main, "hookreceiver": hookReceiver})
}

// withDatabase runs the tests and then ends their database server.
type withDatabase struct{ m *testing.M }

func (w withDatabase) Run() int {
	code := queuetest.Run(w.m)
	if dir, err := ProcessDir(); err == nil {
		os.RemoveAll(dir)
	}
	return code
}

// ProcessDir is a folder that is removed when all tests have ended.
var ProcessDir = sync.OnceValues(func() (string, error) { return os.MkdirTemp("", "enotify-tests-") })
