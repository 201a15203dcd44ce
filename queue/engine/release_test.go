package engine_test

import (
	"context"
	"testing"
	"time"

	"enotify/queue/queuetest"
)

// A node that leaves tells the others, at a moment when its groups are free and its share
// is theirs: the one that hears of it takes them.
func TestNodeThatLeavesTellsTheOthers(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	stays, leaves := f.Server("stays", queuetest.Deliver), f.Server("leaves", queuetest.Deliver)
	stays.UntilIdle, leaves.UntilIdle = false, false
	staying, end := context.WithCancel(t.Context())
	leaving, leave := context.WithCancel(staying)
	served := make(chan error, 2)
	go func() { served <- stays.Serve(staying) }()
	go func() { served <- leaves.Serve(leaving) }()
	f.Until(func() {}, `SELECT count(*) = 2 FROM (SELECT node_id FROM enotify.lease
		WHERE node_id IS NOT NULL AND until > now() GROUP BY node_id HAVING count(*) = 32) n`)

	heard := make(chan bool, 100)
	listening := make(chan struct{})
	go func() {
		_ = f.DB.Listen(staying, func(notification string) {
			stays.Heard(notification)
			switch notification {
			case "":
				close(listening)
			case "lease":
				heard <- queuetest.Query[bool](f, `SELECT NOT EXISTS (SELECT FROM enotify.node WHERE name = 'leaves')`)
			}
		})
	}()
	<-listening
	leave()
	select {
	case gone := <-heard:
		if !gone {
			t.Error("the node says that its groups are free, and is still one of those that share them")
		}
	case <-time.After(time.Minute):
		t.Error("nobody was told that a node had left")
	}
	f.Until(end, `SELECT count(*) = 64 FROM enotify.lease l JOIN enotify.node n ON n.id = l.node_id
		WHERE n.name = 'stays' AND l.until > now()`)
	for range 2 {
		if err := <-served; err != nil {
			t.Error(err)
		}
	}
}
