//go:build check

package main_test

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"sync"
	"testing"
	"time"

	"enotify/sender/smtptest"
	"enotify/sender/throttle"
)

// A sentPlan is what batches meet that are truly sent.
type sentPlan struct {
	name  string
	nodes int // 0: one
	// set arranges it, and returns the batch that the forecast is about.
	set func(p *planned) (batch int64)
	// begun is when to ask: by then a forecast knows all that it counts.
	begun string
	reply func(c smtptest.Command) string
}

// A planned is a site on which a plan is sent. Its clock may stand shortly before a
// midnight of its own: zone is the name of a time zone that PostgreSQL reads as POSIX
// writes one, and the nodes find in a file.
type planned struct {
	*site
	zones, zone string
	egress      string // of the nodes; "": that of the site
}

// What batch list says of these plans comes true within a tenth, when nodes truly send them
// to receivers on loopback. Days end within seconds here. A machine that is busy delays
// mail, and no forecast: each plan has three tries, and one that is still off by less
// than a third is only reported.
func TestForecastsComeTrue(t *testing.T) {
	t.Parallel()
	// From then on a node has told how long a message takes.
	const moving = `SELECT delivered >= 5 AND EXISTS (SELECT FROM enotify.node WHERE message_time > interval '0')
		FROM enotify.batch_status WHERE id = $1`
	// A node lives, and the sites of all domains are known: until then a forecast takes each domain for a site.
	const waiting = `SELECT count(*) > 0 AND NOT EXISTS (SELECT FROM enotify.domain WHERE site_id IS NULL)
		FROM enotify.node WHERE live_until > now() AND $1::bigint > 0`
	// The same as moving, where other batches go first.
	const others = `SELECT sum(delivered) >= 5 AND max(id) = $1 AND EXISTS (SELECT FROM enotify.node WHERE message_time > interval '0')
		AND NOT EXISTS (SELECT FROM enotify.domain WHERE site_id IS NULL) FROM enotify.batch_status`
	grey := sync.Map{}
	for _, c := range []sentPlan{
		{name: "the rate of a domain", begun: moving, set: func(p *planned) int64 {
			p.limit("d0.test", 10)
			return p.Enqueue("menu", "Soup.", 300, 3)
		}},
		{name: "the rate of a site", begun: moving, set: func(p *planned) int64 {
			p.limit("mx.test", 15)
			return p.Enqueue("menu", "Soup.", 180, 12)
		}},
		{name: "a limit that was learned", begun: moving, set: func(p *planned) int64 {
			now := time.Now()
			state, err := json.Marshal(throttle.State{At: now, Pace: throttle.Pace{Rate: 12, RateCeiling: 12,
				RateProbeAt: now.Add(time.Hour), RateProbeWait: time.Hour}})
			if err != nil {
				p.Fatal(err)
			}
			p.Exec(`INSERT INTO enotify.pace (kind, name, domain, state, version) VALUES ('site', 'mx.test', 'd0.test', $1, 1)`, state)
			return p.Enqueue("menu", "Soup.", 150, 5)
		}},
		{name: "an address that warms up", begun: moving, set: func(p *planned) int64 {
			p.limit("mx.test", 20)
			p.clock(24*time.Hour - 14*time.Second)
			p.Exec(`INSERT INTO enotify.egress (address) SELECT '192.0.2.10' ON CONFLICT DO NOTHING`)
			p.Exec(`INSERT INTO enotify.warmup (address, site, caps, zone) VALUES ('192.0.2.10', '*', '{60,200}', $1)`, p.zone)
			return p.Enqueue("menu", "Soup.", 160, 5)
		}},
		{name: "a quota of the client", begun: moving, set: func(p *planned) int64 {
			p.limit("mx.test", 20)
			p.clock(24*time.Hour - 14*time.Second)
			p.Exec(`UPDATE enotify.client SET per_day = 80, zone = $1`, p.zone)
			return p.Enqueue("menu", "Soup.", 150, 5)
		}},
		{name: "a window that opens", begun: waiting, set: func(p *planned) int64 {
			p.limit("mx.test", 20)
			p.clock(12*time.Hour - 8*time.Second)
			batch := p.Enqueue("menu", "Soup.", 120, 5)
			p.Exec(`UPDATE enotify.batch SET send_window = 'Mon-Sun 12:00-23:00 ' || $1::text`, p.zone)
			return batch
		}},
		{name: "two batches ahead", begun: others, set: func(p *planned) int64 {
			p.limit("mx.test", 20)
			p.Enqueue("first", "Soup.", 100, 5)
			p.Enqueue("second", "Soup.", 80, 5)
			return p.Enqueue("third", "Soup.", 60, 5)
		}},
		{name: "deferred recipients of another batch", begun: moving, set: func(p *planned) int64 {
			p.limit("mx.test", 20)
			first := p.Enqueue("grey", "Soup.", 60, 5)
			node := p.start("n1")
			p.Until(`SELECT state = 'retrying' FROM enotify.batch WHERE id = $1`, first)
			p.kill(node.Process)
			_ = node.Wait()
			grey.Store(p.SMTP.Addr, true)
			p.Exec(`UPDATE enotify.retry SET due_at = now() + interval '8 s'; UPDATE enotify.lease SET until = '-infinity'`)
			return p.Enqueue("menu", "Soup.", 160, 5)
		}, reply: func(c smtptest.Command) string {
			if c.Verb == "RCPT" {
				return "452 4.2.2 Mailbox full"
			}
			return ""
		}},
		{name: "two sites, one of them slow", begun: moving, set: func(p *planned) int64 {
			p.limit("slow.alone", 6)
			return ask[int64](p.site, `SELECT enotify.enqueue('menu', 'info@town.example', 'Lunch menu', 'Soup.',
				ARRAY(SELECT format('u%s@%s.alone', i, CASE WHEN i % 4 = 0 THEN 'slow' ELSE 'quick' END) FROM generate_series(1, 300) i))`)
		}},
		{name: "domains with rates of their own at a slow site", begun: moving, set: func(p *planned) int64 {
			p.limit("mx.test", 12)
			p.limit("d0.test", 3)
			p.limit("d1.test", 5)
			return p.Enqueue("menu", "Soup.", 200, 8)
		}},
		{name: "priorities", begun: others, set: func(p *planned) int64 {
			p.limit("mx.test", 20)
			p.Enqueue("first", "Soup.", 100, 5)
			p.Exec(`UPDATE enotify.batch SET priority = -5 WHERE id = $1`, p.Enqueue("later", "Soup.", 80, 5))
			p.Exec(`UPDATE enotify.batch SET priority = 10 WHERE id = $1`, p.Enqueue("sooner", "Soup.", 60, 5))
			return p.Enqueue("second", "Soup.", 60, 5)
		}},
		{name: "small batches ahead", begun: others, set: func(p *planned) int64 {
			p.limit("mx.test", 10)
			for i := range 20 {
				p.Enqueue(fmt.Sprintf("small%d", i), "Soup.", 5, 5)
			}
			return p.Enqueue("menu", "Soup.", 40, 5)
		}},
		{name: "a warm-up that spills over", begun: moving, set: func(p *planned) int64 {
			p.egress = "192.0.2.10,192.0.2.11"
			p.DNS.PutTXT("town.example", "v=spf1 ip4:192.0.2.10 ip4:192.0.2.11 -all")
			p.Run("egress", "add", "192.0.2.10")
			p.Run("egress", "add", "192.0.2.11", "--rate", "8/s")
			p.Exec(`INSERT INTO enotify.warmup (address, site, caps, overflow) VALUES ('192.0.2.10', '*', '{60,200}', 'pool')`)
			return ask[int64](p.site, `SELECT enotify.enqueue('menu', 'info@town.example', 'Lunch menu', 'Soup.',
				ARRAY(SELECT format('u%s@d%s.alone', i, i % 20) FROM generate_series(1, 200) i))`)
		}},
		{name: "two nodes", nodes: 2, begun: moving, set: func(p *planned) int64 {
			p.limit("*", 5)
			return ask[int64](p.site, `SELECT enotify.enqueue('menu', 'info@town.example', 'Lunch menu', 'Soup.',
				ARRAY(SELECT format('u%s@d%s.alone', i, i % 12) FROM generate_series(1, 600) i))`)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for try := 1; ; try++ {
				said, took := c.send(t, &grey)
				off := (said - took) / took
				t.Logf("forecast %.1f s, took %.1f s: %+.1f %%", said, took, 100*off)
				if off <= 0.1 && off >= -0.1 {
					return
				}
				if try < 3 {
					continue
				}
				t.Logf("no forecast of %d came true within a tenth", try)
				if off > 0.33 || off < -0.33 {
					t.Errorf("forecast %.1f s, took %.1f s", said, took)
				}
				return
			}
		})
	}
}

// send sends a plan, and returns how long the forecast said that it takes, and how long
// it took, both from the moment when the forecast was asked for.
func (c sentPlan) send(t *testing.T, open *sync.Map) (said, took float64) {
	t.Helper()
	var host string
	s := newSite(t, smtptest.Config{Reply: func(cmd smtptest.Command) string {
		if _, on := open.Load(host); c.reply == nil || on {
			return ""
		}
		return c.reply(cmd)
	}})
	host = s.SMTP.Addr
	p := &planned{site: s, zones: t.TempDir()}
	batch := c.set(p)
	for i := range max(1, c.nodes) {
		defer func(node *exec.Cmd) {
			_ = node.Process.Kill()
			_ = node.Wait()
		}(p.start(fmt.Sprintf("n%d", i+1)))
	}
	s.Until(c.begun, batch)
	list := p.program("batch", "list", "-o", "json")
	before := time.Now()
	out, err := list.Output()
	asked := before.Add(time.Since(before) / 2)
	var batches []struct {
		ID          int64
		SecondsLeft *float64 `json:"seconds_left"`
	}
	if err == nil {
		err = json.Unmarshal(out, &batches)
	}
	if err != nil {
		t.Fatalf("batch list: %v", err)
	}
	for _, b := range batches {
		if b.ID == batch && b.SecondsLeft != nil {
			said = *b.SecondsLeft
		}
	}
	if said == 0 {
		t.Fatalf("batch list says nothing of batch %d: %s", batch, out)
	}
	s.Until(`SELECT state = 'done' FROM enotify.batch WHERE id = $1`, batch)
	return said, ask[float64](s, `SELECT extract(epoch FROM max(at) - $2)::float8 FROM enotify.outcome WHERE batch_id = $1`,
		batch, asked)
}

// limit sets how many messages a second a destination takes.
func (p *planned) limit(name string, perSecond int) {
	p.Helper()
	p.Run("destination", "set", name, "--rate", fmt.Sprintf("%d/s", perSecond), "--burst", "1")
}

// program is the program with the time zone of the site.
func (p *planned) program(args ...string) *exec.Cmd {
	cmd := p.Enotify(args...)
	cmd.Env = append(cmd.Env, "ZONEINFO="+p.zones)
	if p.egress != "" {
		cmd.Env = append(cmd.Env, "ENOTIFY_EGRESS="+p.egress)
	}
	return cmd
}

func (p *planned) start(name string) *exec.Cmd {
	p.Helper()
	node := p.program("run", "--node", name)
	if err := node.Start(); err != nil {
		p.Fatal(err)
	}
	p.Cleanup(func() { _ = node.Process.Kill(); _ = node.Wait() })
	return node
}

// clock makes a time zone in which it is so late now. The nodes read it, and PostgreSQL
// takes its name for a rule: "XXX-05:30:15" is five and a half hours and 15 seconds ahead
// of UTC.
func (p *planned) clock(late time.Duration) {
	p.Helper()
	now := time.Now().UTC()
	offset := int(late.Seconds()) - (now.Hour()*3600 + now.Minute()*60 + now.Second())
	for offset <= -12*3600 {
		offset += 24 * 3600
	}
	for offset > 12*3600 {
		offset -= 24 * 3600
	}
	sign, ahead := "-", offset
	if offset < 0 {
		sign, ahead = "+", -offset
	}
	p.zone = fmt.Sprintf("XXX%s%02d:%02d:%02d", sign, ahead/3600, ahead/60%60, ahead%60)
	writeZone(p, p.zones, p.zone, offset)
}
