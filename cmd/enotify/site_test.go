package main_test

import (
	"fmt"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"enotify/sender/smtptest"
)

// The sites of 20,000 domains are known before the batch takes its turn, and
// who is at a domain that takes no mail is told so at once.
func TestSurveyOfManyDomains(t *testing.T) {
	t.Parallel()
	s := newSite(t, smtptest.Config{})
	batch := ask[int64](s, `SELECT enotify.enqueue('menu', 'info@town.example', 'Lunch menu', 'Soup.',
		ARRAY(SELECT format('user%s@d%s.%s', i, i, CASE WHEN i % 100 = 0 THEN 'invalid' ELSE 'test' END) FROM generate_series(1, 20000) i))`)
	s.Start("run")
	s.Until(`SELECT started_at IS NOT NULL FROM enotify.batch WHERE id = $1`, batch)
	s.Run("batch", "cancel", fmt.Sprint(batch), "--yes")
	t.Logf("from submit to turn, with the start of the node: %s",
		ask[string](s, `SELECT (started_at - submitted_at)::text FROM enotify.batch`))

	if got := ask[string](s, `SELECT string_agg(format('%s %s', name, n), ', ' ORDER BY n DESC) FROM (
		SELECT s.name, count(*) AS n FROM enotify.domain d JOIN enotify.site s ON s.id = d.site_id WHERE d.no_mail IS NULL GROUP BY s.name) x`); got != "mx.test 19800" {
		t.Errorf("domains by site: got %s, want mx.test 19800", got)
	}
	if got, want := ask[string](s, `SELECT string_agg(DISTINCT concat_ws(' ', class, code, reply), ', ') || ': ' || count(*) FROM enotify.delivery WHERE state = 'bounced'`),
		"other 550 5.1.2 the domain does not exist: 200"; got != want {
		t.Errorf("bounced: got %s, want %s", got, want)
	}
}

// A site that bears 5 connections never sees a sixth, though its domains are
// many, the nodes are three, and the one that sends to it is killed.
func TestSiteLimitHoldsOverNodes(t *testing.T) {
	t.Parallel()
	const n = 3000
	// A receiver may accept a connection before it reads the QUIT of another: it allows some
	// more than the five that the nodes have together, and fewer than two nodes' fives.
	const most = 8
	s := newSite(t, smtptest.Config{MaxConnections: most, Delay: time.Millisecond})
	s.Exec(`INSERT INTO enotify.destination (name, connections) VALUES ('mx.test', 5)`)
	nodes := map[string]*exec.Cmd{}
	for _, name := range []string{"n1", "n2", "n3"} {
		nodes[name] = s.Start("run", "--node", name)
	}
	s.Until(`SELECT count(*) = 3 AND bool_and(n BETWEEN 20 AND 22) FROM (SELECT count(*) AS n FROM enotify.lease WHERE node_id IS NOT NULL GROUP BY node_id) x`)
	batch := s.Enqueue("menu", "Soup.", n, 300)
	s.Until(`SELECT delivered > $2 FROM enotify.batch_status WHERE id = $1`, batch, n/3)
	holder := ask[string](s, `SELECT n.name FROM enotify.node n JOIN enotify.lease l ON l.node_id = n.id JOIN enotify.site s ON s.grp = l.grp`)
	if err := nodes[holder].Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	s.Until(`SELECT state = 'done' FROM enotify.batch WHERE id = $1`, batch)
	s.Run("batch", "audit", fmt.Sprint(batch))
	if refused, peak := s.SMTP.Refused(), s.SMTP.Peak(); refused != 0 || peak > most {
		t.Errorf("connections: %d refused, %d at most at once, want 0 and at most %d", refused, peak, most)
	}
	t.Logf("%s; %d connections at most", s.States(batch), s.SMTP.Peak())
}
