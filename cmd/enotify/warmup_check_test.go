//go:build check

package main_test

import (
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"enotify/sender/smtptest"
)

// A dayCount counts messages by the day and the address that they came from. On one day
// it holds all messages but the first ones back, until it is told to go on.
type dayCount struct {
	mu    sync.Mutex
	day   int
	n     map[int]map[string]int
	holds int // messages that are answered on a day that is held
	held  chan struct{}
}

func (c *dayCount) received(m smtptest.Message) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n[c.day] == nil {
		c.n[c.day] = map[string]int{}
	}
	c.n[c.day][m.Peer]++
}

func (c *dayCount) reply(cmd smtptest.Command) string {
	c.mu.Lock()
	held := c.held
	if held != nil && cmd.Verb == "RCPT" {
		if c.holds--; c.holds >= 0 {
			held = nil
		}
	}
	c.mu.Unlock()
	if held != nil && cmd.Verb == "RCPT" {
		<-held
	}
	return ""
}

func (c *dayCount) hold(after int) (goOn func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.holds, c.held = after, make(chan struct{})
	return sync.OnceFunc(func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		close(c.held)
		c.held = nil
	})
}

// on is how many messages came on a day, by address.
func (c *dayCount) on(day int) (by map[string]int, sum int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	by = map[string]int{}
	for peer, n := range c.n[day] {
		by[peer] += n
		sum += n
	}
	return by, sum
}

func (c *dayCount) begin(day int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.day = day
}

// Three new addresses of two nodes, one of them shared, warm up for thirty days. The
// receiver counts by address: no day has more than its cap, all have what it allows, and a
// SIGKILL in the middle of a day gives no cap back. A day is a time zone that is a day
// ahead of the one before: the database's clock, the leases and all counts stay as they are.
func TestWarmupForThirtyDays(t *testing.T) {
	t.Parallel()
	const days, killed = 30, 12
	count := &dayCount{n: map[int]map[string]int{}}
	s := newSite(t, smtptest.Config{Reply: count.reply, Received: count.received})
	s.DNS.PutTXT("town.example", "v=spf1 ip4:127.0.0.0/8 -all")
	zones := t.TempDir()
	zone := func(day int) string {
		name := fmt.Sprintf("Day%d", day)
		writeZone(t, zones, name, (12+24*day-time.Now().UTC().Hour())*3600) // about noon
		return name
	}
	addresses := []string{"127.0.0.5", "127.0.0.6", "127.0.0.7"}
	caps := make([]int, days)
	sum := 0
	for i := range caps {
		caps[i] = 2 + i/2
		sum += caps[i]
	}
	for _, addr := range addresses {
		s.Run("egress", "add", addr)
		s.Exec(`INSERT INTO enotify.warmup (address, site, caps, zone) VALUES ($1::text::inet, '*', $2, $3)`, addr, caps, zone(0))
	}
	start := func(name, egress string) *exec.Cmd {
		node := s.Enotify("run", "--node", name, "--egress", egress)
		node.Env = append(node.Env, "ZONEINFO="+zones)
		if err := node.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = node.Process.Kill(); _ = node.Wait() })
		return node
	}
	one := start("n1", "127.0.0.5,127.0.0.6")
	start("n2", "127.0.0.6,127.0.0.7")
	s.Until(`SELECT count(*) = 2 FROM (SELECT node_id FROM enotify.lease WHERE node_id IS NOT NULL GROUP BY 1 HAVING count(*) > 20) x`)
	// Enough for each address, however the sites fall.
	all := 2 * len(addresses) * sum
	batch := ask[int64](s, `SELECT enotify.enqueue('menu', 'info@town.example', 'Lunch menu', 'Soup.',
		ARRAY(SELECT format('user%s@d%s.alone', i, i % 200) FROM generate_series(1, $1) i), expires_at => now() + interval '1 hour')`, all)

	const used = `SELECT count(*) = 3 AND (SELECT sending = 0 FROM enotify.batch_status WHERE id = $2) FROM enotify.warmup w
		JOIN enotify.egress_day d ON d.address = w.address AND d.site = w.site AND d.day = w.day
		WHERE w.step = $1 AND d.begun = w.caps[w.step + 1]`
	for day := range days {
		if day > 0 {
			count.begin(day)
			goOn := func() {}
			if day == killed {
				goOn = count.hold(6)
			}
			s.Exec(`UPDATE enotify.warmup SET zone = $1`, zone(day))
			if day == killed {
				for _, n := count.on(day); n < 6; _, n = count.on(day) {
					time.Sleep(2 * time.Millisecond)
				}
				s.kill(one.Process)
				_ = one.Wait()
				goOn()
				start("n1", "127.0.0.5,127.0.0.6")
			}
		}
		s.Until(used, day, batch)
		by, n := count.on(day)
		for _, addr := range addresses {
			if got, want := by[addr], caps[day]; got > want || got < want && day != killed {
				t.Errorf("day %d: got %d messages from %s, want %d", day+1, got, addr, want)
			}
		}
		if day == killed && n < 6 {
			t.Errorf("day %d, with a kill: got %d messages, want at least the 6 before it", day+1, n)
		}
	}
	got := ask[string](s, `SELECT string_agg(format('%s %s', host(address), step + 1), ', ' ORDER BY address) FROM enotify.warmup`)
	if want := "127.0.0.5 30, 127.0.0.6 30, 127.0.0.7 30"; got != want {
		t.Errorf("days of the plans: got %s, want %s", got, want)
	}
	count.begin(days)
	s.Exec(`UPDATE enotify.warmup SET zone = $1`, zone(days)) // the plans are over
	s.Until(`SELECT state = 'done' FROM enotify.batch WHERE id = $1`, batch)
	s.Run("batch", "audit", fmt.Sprint(batch))
	for to, n := range s.SMTP.Copies() {
		if n > 1 {
			t.Errorf("%s: got %d copies, want at most 1", to, n)
		}
	}
}

// writeZone makes a time zone (RFC 9636 §3) that is so many seconds ahead of UTC, for
// processes with ZONEINFO.
func writeZone(tb testing.TB, dir, name string, ahead int) {
	tb.Helper()
	var file strings.Builder
	file.WriteString("TZif" + strings.Repeat("\x00", 16))
	for _, n := range []int32{0, 0, 0, 0, 1, 4, int32(ahead)} { // one type, four octets of its name
		_ = binary.Write(&file, binary.BigEndian, n)
	}
	file.WriteString("\x00\x00XXX\x00")
	if err := os.WriteFile(filepath.Join(dir, name), []byte(file.String()), 0o600); err != nil {
		tb.Fatal(err)
	}
}
