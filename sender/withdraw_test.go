package sender_test

import (
	"testing"

	"enotify/queue"
	"enotify/sender/smtptest"
)

// A batch that was stopped while its message waited for a connection sends
// nothing; the connection serves the next one.
func TestWithdrawnBeforeItBegan(t *testing.T) {
	t.Parallel()
	w, host := one(t, smtptest.Config{})
	stopped := to(testBatch, 1, "u1@a.test")
	stopped.MayBegin = func() bool { return false }
	if o := w.deliver(t, stopped); o.State != queue.Deferred || o.Class != queue.NotBegun {
		t.Errorf("stopped: got %v %v, want it deferred and not begun", o.State, o.Class)
	}
	if o := w.deliver(t, to(testBatch, 2, "u2@a.test")); o.State != queue.Delivered {
		t.Errorf("next: got %v %v, want it delivered", o.State, o.Reply)
	}
	if got := host.Copies()["u1@a.test"]; got != 0 {
		t.Errorf("copies of the stopped one: got %d, want 0", got)
	}
	if got := host.Connections(); got != 1 {
		t.Errorf("connections: got %d, want 1", got)
	}
}

// A message whose end may not leave, since the journal cannot note it, is never
// whole at the receiver; the next one goes by another connection.
func TestWithdrawnBeforeItEnded(t *testing.T) {
	t.Parallel()
	w, host := one(t, smtptest.Config{})
	unnoted := to(testBatch, 1, "u1@a.test")
	unnoted.MayEnd = func() bool { return false }
	if o := w.deliver(t, unnoted); o.State != queue.Deferred || o.Class != queue.NotBegun {
		t.Errorf("not noted: got %v %v (%v), want it deferred and not begun", o.State, o.Class, o.Reply)
	}
	if o := w.deliver(t, to(testBatch, 2, "u2@a.test")); o.State != queue.Delivered {
		t.Errorf("next: got %v %v, want it delivered", o.State, o.Reply)
	}
	if got := host.Copies()["u1@a.test"]; got != 0 {
		t.Errorf("copies of the one not noted: got %d, want 0", got)
	}
	if got := host.Connections(); got != 2 {
		t.Errorf("connections: got %d, want 2", got)
	}
}
