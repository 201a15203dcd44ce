package engine_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"enotify/queue"
	"enotify/queue/queuetest"
)

// unreadable says that a batch cannot be composed whose text has a brace.
func unreadable(b *queue.Batch) error {
	if strings.Contains(b.Text, "{{") {
		return errors.New("the text cannot be read: unclosed action")
	}
	return nil
}

// A batch whose messages cannot be composed is blocked before it takes the
// turn, with its fault for a reason, at the cost of no recipient; the next one
// goes on, and so does it once its content is replaced.
func TestFaultyContent(t *testing.T) {
	t.Parallel()
	for _, surveyed := range []bool{false, true} {
		f := queuetest.NewFixture(t)
		faulty := queuetest.Query[int64](f,
			`SELECT enotify.enqueue('faulty', 'info@town.example', 's', 'Hi {{name', '{a@a.example,b@b.example}')`)
		other := queuetest.Query[int64](f,
			`SELECT enotify.enqueue('other', 'info@town.example', 's', 'Hi', '{c@a.example}')`)
		alerts := make(chan queue.Alert, 10)
		serve := func() {
			s := f.Server("n1", queuetest.Deliver)
			s.Check, s.Alerted = unreadable, func(a queue.Alert) { alerts <- a }
			if surveyed {
				var dir directory
				s.Survey = dir.survey
			}
			f.Serve(s)
		}
		serve()
		if got := queuetest.Query[string](f,
			`SELECT format('%s|%s|%s|%s', state, reason, fault, started_at) FROM enotify.batch WHERE id = $1`,
			faulty); got != "blocked|the text cannot be read: unclosed action|the text cannot be read: unclosed action|" {
			t.Errorf("the faulty batch: got %s, want it blocked with its fault, never begun", got)
		}
		if got, want := f.States(faulty), map[string]int{"pending": 2}; !cmp.Equal(got, want) {
			t.Errorf("its recipients: got %v, want %v", got, want)
		}
		if got, want := f.States(other), map[string]int{"delivered": 1}; !cmp.Equal(got, want) {
			t.Errorf("the other batch: got %v, want %v", got, want)
		}
		if a := <-alerts; a.Kind != queue.AlertContent || a.Batch != faulty || a.Client != "town.example" ||
			len(alerts) > 0 {
			t.Errorf("alert: got %+v and %d more, want one", a, len(alerts))
		}
		good := "Hi"
		if err := f.DB.ReplaceContent(t.Context(), faulty, queue.ContentEdit{Text: &good}); err != nil {
			t.Fatal(err)
		}
		serve()
		if got, want := f.States(faulty), map[string]int{"delivered": 2}; !cmp.Equal(got, want) {
			t.Errorf("its recipients afterwards: got %v, want %v", got, want)
		}
	}
}

// A fault that shows only while a batch is sent blocks it too: nobody else is
// tried, nobody is given up for it, and all go on with the new content.
func TestFaultUnderWay(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	batch := f.Enqueue("menu", 300, domains(30)...)
	var tried atomic.Int32
	serve := func() {
		s := f.Server("n1", func(ctx context.Context, m queue.Message) queue.Outcome {
			if b, err := m.Batch.Whole(ctx); err != nil || b.Text != "better" {
				tried.Add(1)
				return queue.Outcome{State: queue.Deferred, Class: queue.NotBegun,
					Fault: "a template did more than it may"}
			}
			return queuetest.Deliver(ctx, m)
		})
		s.MaxInFlight = 20
		f.Serve(s)
	}
	serve()
	if got := queuetest.Query[string](f, `SELECT concat(state, '|', fault) FROM enotify.batch WHERE id = $1`,
		batch); got != "blocked|a template did more than it may" {
		t.Errorf("got %s, want it blocked with its fault", got)
	}
	if n := tried.Load(); n > 200 {
		t.Errorf("tried with the fault: got %d of 300, want few", n)
	}
	if n := f.States(batch)["invalid"] + f.States(batch)["bounced"]; n > 0 {
		t.Errorf("given up: got %d, want none", n)
	}
	better := "better"
	if err := f.DB.ReplaceContent(t.Context(), batch, queue.ContentEdit{Text: &better}); err != nil {
		t.Fatal(err)
	}
	serve()
	if got, want := f.States(batch), map[string]int{"delivered": 300}; !cmp.Equal(got, want) {
		t.Errorf("recipients afterwards: got %v, want %v", got, want)
	}
	f.Balances()
}
