package node_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"enotify/cmd/enotify/sitetest"
	"enotify/queue/queuetest"
	"enotify/sender/smtptest"
)

// A node that has nothing to do sends its database few statements, though deferred
// recipients wait, and feels within its next look what an operator sets meanwhile.
func TestIdleNodeAsksLittle(t *testing.T) {
	t.Parallel()
	const perSecond, while = 8, 5 * time.Second
	s := sitetest.New(t, smtptest.Config{Reply: func(c smtptest.Command) string {
		if c.Verb == "RCPT" {
			return "450 4.2.1 come back later"
		}
		return ""
	}})
	tap := queuetest.NewTap(t, s.URL)
	c := s.Node()
	c.DatabaseURL = tap.URL
	s.Serve(c)
	batch := s.Enqueue("menu", "Soup.", 2, 2)
	s.Until(`SELECT state = 'retrying' FROM enotify.batch WHERE id = $1`, batch)
	const memory = "FROM enotify.pace WHERE updated_at > $1" // which only a node reads that is not idle
	for quiet := false; !quiet; {
		time.Sleep(time.Second)
		quiet = !slices.ContainsFunc(slices.Collect(maps.Keys(tap.Count())), func(sql string) bool {
			return strings.Contains(sql, memory)
		})
	}
	tap.Count()
	began := time.Now()
	time.Sleep(while)
	count := tap.Count()
	most := int(perSecond * (1 + time.Since(began).Seconds())) // a slow machine sends fewer
	total, lines := 0, []string{}
	for _, sql := range slices.Sorted(maps.Keys(count)) {
		total += count[sql]
		lines = append(lines, fmt.Sprintf("%4d %.100s", count[sql], strings.Join(strings.Fields(sql), " ")))
	}
	if total > most || total == 0 {
		t.Errorf("statements of an idle node in %v: got %d, want at most %d a second:\n%s", while, total, perSecond,
			strings.Join(lines, "\n"))
	}
	s.Exec(`UPDATE enotify.retry SET due_at = now()`) // by no function, which would wake the node
	s.Until(`SELECT bool_and(tries = 2) FROM enotify.retry WHERE batch_id = $1`, batch)
}
