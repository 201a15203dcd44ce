package main_test

import (
	"bufio"
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"time"

	"enotify/sender/smtptest"
)

// What batch list, batch show, batch watch and preflight say of how long two batches
// take is the same, names the slow site and its limit, and comes true. The limit lets
// nobody be faster than that; on a machine with other work it may be slower.
func TestForecastsAgree(t *testing.T) {
	t.Parallel()
	s := newSite(t, smtptest.Config{})
	s.Run("destination", "set", "d0.test", "--rate", "8/s", "--burst", "2")
	first := s.Enqueue("menu", "Soup.", 240, 3) // 80 to d0.test: 10 s
	s.Exec(`SELECT enotify.enqueue('agenda', 'info@town.example', 'Agenda', 'Text', $1)`, []string{
		"b1@d0.test", "b2@d0.test", "b3@d0.test", "b4@d0.test", "b5@d0.test", "b6@d0.test", "b7@d0.test", "b8@d0.test",
		"b9@d1.test"})
	if got := s.Run("batch", "list"); strings.Count(got, "no node is running; start one: enotify run") != 2 {
		t.Errorf("without a node: got %s", got)
	}
	idle := s.Enotify("batch", "watch", "1")
	said, err := idle.StdoutPipe()
	if err == nil {
		err = idle.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(said).ReadString('\n')
	_ = idle.Process.Kill()
	_ = idle.Wait()
	if !strings.HasSuffix(line, "batch 1 queued 0/240, no node is running; start one: enotify run\n") {
		t.Errorf("batch watch without a node: got %q, %v", line, err)
	}
	s.Start("run")
	s.Until(`SELECT delivered >= 90 FROM enotify.batch_status WHERE id = $1`, first)

	type foretold struct {
		ID          int64
		Why         string
		SecondsLeft float64 `json:"seconds_left"`
	}
	var list []foretold
	looked := time.Now()
	if err := json.Unmarshal([]byte(s.Run("batch", "list", "-o", "json")), &list); err != nil || len(list) != 2 {
		t.Fatalf("batch list: got %d batches, %v", len(list), err)
	}
	left := map[int64]float64{list[0].ID: list[0].SecondsLeft, list[1].ID: list[1].SecondsLeft}
	if got := list[0].Why; got != "waits for batch 1, which has the turn" {
		t.Errorf("why the second waits: got %q", got)
	}
	if got := s.Run("batch", "show", "1"); !regexp.MustCompile(`(?m)^forecast +everybody is tried in about \d+ s; d0.test is slowest \(your limit 8/s\)$`).MatchString(got) {
		t.Errorf("batch show: got %s", got)
	}
	var watched foretold
	watching := s.Enotify("batch", "watch", "1", "-o", "json")
	out, err := watching.Output()
	if err == nil {
		err = json.Unmarshal(out[:strings.IndexByte(string(out), '\n')], &watched)
	}
	if off := watched.SecondsLeft - left[first]; err != nil || off > 2 || off < -10 {
		t.Errorf("batch watch: got %g s left, %v, want %g or a little less", watched.SecondsLeft, err, left[first])
	}

	for id, said := range left {
		s.Until(`SELECT state = 'done' FROM enotify.batch WHERE id = $1`, id)
		took := ask[float64](s, `SELECT extract(epoch FROM max(at) - $2)::float8 FROM enotify.outcome WHERE batch_id = $1`, id, looked)
		if took < 0.9*said-1 || took > 2*said+10 {
			t.Errorf("batch %d: forecast %.1f s, took %.1f s", id, said, took)
		}
	}

}
