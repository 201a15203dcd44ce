package main_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"enotify/cmd/enotify/preflight"
	"enotify/sender/smtptest"
)

// What is simulated comes true: a batch is forecast, and then really sent. Its
// end is decided by rates, of a domain, of a site, and of all others; another
// batch has the turn before.
func TestForecastComesTrue(t *testing.T) {
	t.Parallel()
	s := newSite(t, smtptest.Config{})
	if err := s.dns.Put("mx.slow.test. A 127.0.0.1\n*.slow.test. MX 10 mx.slow.test.\nslow.test. MX 10 mx.slow.test."); err != nil {
		t.Fatal(err)
	}
	s.exec(`UPDATE enotify.destination SET rate_messages = 40, burst = 5 WHERE name = '*'`)
	s.exec(`INSERT INTO enotify.destination (name, rate_messages, rate_per, burst) VALUES ('big.test', 25, '1 s', 5), ('slow.test', 20, '1 s', 5)`)
	first := s.enqueue("first", "Soup.", 400, 4) // 100 to each of 4 domains at 40/s: 2.5 s
	second := ask[int64](s, `SELECT enotify.enqueue('second', 'info@town.example', 'Lunch menu', 'Soup.',
		ARRAY(SELECT format('user%s@big.test', i) FROM generate_series(1, 150) i) ||
		ARRAY(SELECT format('user%s@d%s.slow.test', i, i % 10) FROM generate_series(1, 160) i) ||
		ARRAY(SELECT format('user%s@d%s.test', i, i % 10) FROM generate_series(1, 100) i))`)

	var r preflight.Report
	text, exit := s.enotify("preflight", fmt.Sprint(second), "-o", "json", "--message-time", "5ms").Output() // our addresses have no names here: 2
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatalf("%v, %v: %s", exit, err, text)
	}
	s.run("run", "--until-idle")
	took := func(batch int64) float64 {
		return ask[float64](s, `SELECT extract(epoch FROM max(o.at) - b.started_at)::float8 FROM enotify.outcome o JOIN enotify.batch b ON b.id = o.batch_id WHERE b.id = $1 GROUP BY b.started_at`, batch)
	}
	slowest := r.Sites[slices.IndexFunc(r.Sites, func(s preflight.Site) bool { return s.Name == "slow.test" })]
	for _, c := range []struct {
		name             string
		forecast, really float64
	}{
		{"both batches", float64(r.Summary.Seconds), took(first) + took(second)},
		{"its slowest site", float64(slowest.Seconds - r.Curve[0].Seconds[0]), took(second)},
	} {
		t.Logf("%s: forecast %.1f s, really %.1f s", c.name, c.forecast, c.really)
		if off := c.forecast/c.really - 1; off > 0.15 || off < -0.15 {
			t.Errorf("%s: forecast %.1f s, really %.1f s", c.name, c.forecast, c.really)
		}
	}
	if r.Summary.Slowest != "slow.test" {
		t.Errorf("slowest: got %s, want slow.test", r.Summary.Slowest)
	}
}
