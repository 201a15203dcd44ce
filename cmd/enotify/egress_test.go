package main_test

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"enotify/sender/smtptest"
)

// noon is a time zone where it is about noon now: no day ends during the test.
func noon() string { return fmt.Sprintf("Etc/GMT%+d", time.Now().UTC().Hour()-12) }

// The cap of a day holds for two nodes, and over a SIGKILL of one of them; raised, it is
// in force at once. What is above waits and says so, keeps no turn, and goes on the next
// day with the next cap. The plan is shown against what was sent, and every forecast
// counts it.
func TestWarmupHoldsOverKills(t *testing.T) {
	t.Parallel()
	s := newSite(t, smtptest.Config{})
	s.DNS.PutTXT("town.example", "v=spf1 ip4:127.0.0.5 -all")
	s.Run("egress", "add", "127.0.0.5", "--rate", "20/s") // slow enough to be killed in the middle of the day
	s.Run("egress", "warm", "127.0.0.5", "--plan", "80,110", "--zone", noon())
	nodes := map[string]*exec.Cmd{}
	for _, name := range []string{"n1", "n2"} {
		nodes[name] = s.Start("run", "--node", name, "--egress", "127.0.0.5")
	}
	s.Until(`SELECT count(*) = 2 FROM (SELECT node_id FROM enotify.lease WHERE node_id IS NOT NULL GROUP BY 1 HAVING count(*) > 20) x`)
	batch := ask[int64](s, `SELECT enotify.enqueue('menu', 'info@town.example', 'Lunch menu', 'Soup.',
		ARRAY(SELECT format('user@d%s.alone', i) FROM generate_series(1, 230) i))`)
	for s.SMTP.Delivered() < 25 {
		time.Sleep(2 * time.Millisecond)
	}
	s.kill(nodes["n1"].Process)
	_ = nodes["n1"].Wait()
	killed := s.SMTP.Delivered()
	s.Run("egress", "set", "127.0.0.5", "--rate", "unlimited")
	if got := ask[string](s, `SELECT coalesce(helo, 'that of the node') FROM enotify.egress WHERE address = '127.0.0.5'`); got !=
		"that of the node" {
		t.Errorf("EHLO of an address whose rate was set, with ENOTIFY_HELO in the environment: got %s, want that of the node", got)
	}
	s.Start("run", "--node", "n1", "--egress", "127.0.0.5")
	s.Until(`SELECT state = 'retrying' AND reason LIKE 'the warm-up of 127.0.0.5 allows 80 messages today%' FROM enotify.batch WHERE id = $1`, batch)
	tried := func() int {
		return s.SMTP.Delivered() + ask[int](s, `SELECT unknown FROM enotify.batch_status WHERE id = $1`, batch)
	}
	// What was counted and not begun when the node was killed stays counted: a second's mail at most.
	if n := tried(); killed >= 80 || s.SMTP.Delivered() > 80 || n < 60 {
		t.Errorf("first day: got %d messages before the kill, %d in all, %d with those in doubt; want 80 at most, and at least 60",
			killed, s.SMTP.Delivered(), n)
	}
	s.Run("egress", "warm", "127.0.0.5", "--plan", "100,110", "--zone", noon())
	s.Until(`SELECT state = 'retrying' AND reason LIKE 'the warm-up of 127.0.0.5 allows 100 messages today%' FROM enotify.batch WHERE id = $1`, batch)
	s.Until(`SELECT sending = 0 FROM enotify.batch_status WHERE id = $1`, batch) // the last of them have arrived
	first := s.SMTP.Delivered()
	if n := tried(); first > 100 || n < 80 {
		t.Errorf("first day, with 100 allowed: got %d messages, %d with those in doubt; want 100 at most, and at least 80", first, n)
	}
	if got := ask[string](s, `SELECT min(reply) FROM enotify.delivery WHERE batch_id = $1 AND state = 'deferred'`,
		batch); !strings.Contains(got, "the warm-up of 127.0.0.5 allows ") {
		t.Errorf("why the others wait: got %q", got)
	}
	if got := s.Run("egress", "show", "127.0.0.5"); !strings.Contains(got,
		"day 1 of 2: 100 of 100 messages sent; what is above waits for the next day") {
		t.Errorf("egress show: got %s", got)
	}
	s.foretellsWarmup(batch)

	// All days are some days ago at once: today is a new one. What waited goes on by itself.
	nextDay := func(days int) {
		s.Exec(`WITH d AS (UPDATE enotify.egress_day SET day = day - $1::int) UPDATE enotify.warmup SET day = day - $1::int`, days)
	}
	nextDay(10)
	for s.SMTP.Delivered() < first+110 {
		time.Sleep(5 * time.Millisecond)
	}
	s.Until(`SELECT begun = 110 FROM enotify.egress_day WHERE site = '*' ORDER BY day DESC LIMIT 1`)
	s.Until(`SELECT bool_and(due_at > now()) FROM enotify.retry`) // the rest was put off again
	if got := s.SMTP.Delivered() - first; got != 110 {
		t.Errorf("second day: got %d messages, want 110", got)
	}
	nextDay(3) // the plan is over
	s.Until(`SELECT state = 'done' FROM enotify.batch WHERE id = $1`, batch)
	s.Run("batch", "audit", fmt.Sprint(batch))
}

// foretellsWarmup looks at what list, show, watch and preflight say of a batch that waits
// for a second day with a cap of 110, with about 130 recipients left: the last ones leave
// on the third day, about 36 hours from noon.
func (s *site) foretellsWarmup(batch int64) {
	s.Helper()
	id := fmt.Sprint(batch)
	var list []struct {
		Why         string
		SecondsLeft float64 `json:"seconds_left"`
	}
	var preflight struct {
		Summary struct {
			Seconds float64 `json:"eta_seconds"`
		}
	}
	var watched struct {
		SecondsLeft float64 `json:"seconds_left"`
	}
	watching := s.Enotify("batch", "watch", id, "-o", "json")
	out, err := watching.StdoutPipe()
	if err == nil {
		err = watching.Start()
	}
	if err == nil {
		err = json.NewDecoder(out).Decode(&watched)
		_ = watching.Process.Kill()
		_ = watching.Wait()
	}
	report, _ := s.Enotify("preflight", id, "-o", "json").Output() // the client signs nothing, which blocks
	for _, of := range []struct {
		text string
		into any
	}{{s.Run("batch", "list", "-o", "json"), &list}, {string(report), &preflight}} {
		if e := json.Unmarshal([]byte(of.text), of.into); e != nil {
			s.Fatal(e)
		}
	}
	if err != nil || len(list) != 1 || !strings.HasPrefix(list[0].Why, "the warm-up of 127.0.0.5 allows 100 messages today") {
		s.Fatalf("watch: %v; list: got %+v, want the batch and why it waits", err, list)
	}
	for from, hours := range map[string]float64{"batch list": list[0].SecondsLeft / 3600,
		"preflight": preflight.Summary.Seconds / 3600, "batch watch": watched.SecondsLeft / 3600} {
		if hours < 35 || hours > 37 {
			s.Errorf("%s: everybody is tried in %.1f h, want about 36", from, hours)
		}
	}
	if got := s.Run("batch", "show", id); !regexp.MustCompile(
		`everybody is tried in about 3[567] h( \d+ min)?, waiting for the warm-up of our addresses meanwhile;`).MatchString(got) {
		s.Errorf("batch show: got %s", got)
	}
}
