//go:build check

package monitoring_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"enotify/cmd/enotify/sitetest"
	"enotify/sender/smtptest"
)

// A Prometheus scrapes a node that has sent a batch. Each rule, and each query of the
// dashboard, is put to it: all are understood, and name metrics that the node has.
func TestMonitoring(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, smtptest.Config{Reply: func(c smtptest.Command) string {
		switch {
		case c.Verb == "RCPT" && strings.HasPrefix(c.To, "user1@"):
			return "550 5.1.1 no such user"
		case c.Verb == "RCPT" && strings.HasPrefix(c.To, "user2@"):
			return "421 4.7.0 later"
		}
		return ""
	}})
	batch := s.Enqueue("menu", "Soup.", 200, 5)
	c := s.Node()
	c.Listen = sitetest.FreePort(t)
	s.Serve(c)
	s.Until(`SELECT delivered > 150 AND pending = 0 FROM enotify.batch_status WHERE id = $1`, batch)

	_, _, exposed := sitetest.Request(t, http.MethodGet, "http://"+c.Listen+"/metrics", nil)
	lint := exec.CommandContext(t.Context(), "promtool", "check", "metrics")
	lint.Stdin = strings.NewReader(exposed)
	if out, err := lint.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("promtool check metrics: got %v\n%s", err, out)
	}
	p := start(t, c.Listen)
	p.rules(t)
	known := p.metrics(t)
	queries := dashboard(t)
	if len(queries) < 30 {
		t.Errorf("queries of the dashboard: got %d, want all of them", len(queries))
	}
	for _, q := range append(queries, ruleQueries(t)...) {
		p.evaluate(t, q)
		for _, name := range regexp.MustCompile(`\b(enotify|process)_[a-z_]+\b`).FindAllString(q, -1) {
			if !slices.Contains(known, name) {
				t.Errorf("%s: the node has no metric %s", q, name)
			}
		}
	}
	for _, q := range []string{
		`sum(enotify_attempts_total{state="delivered"}) > 150`, `sum(enotify_replies_total{code="421"}) > 0`,
		`max(enotify_recipients{state="deferred"}) > 0`,
		`max(enotify_oldest_deferred_seconds{class="all"}) >= 0`,
		`sum(enotify_smtp_phase_seconds_count{phase="confirm"}) > 150`, `sum(enotify_flushed_total) > 150`,
		`max(enotify_lease_age_seconds) < 5`, `max(enotify_lease_groups) == 64`, `max(enotify_journal_bytes) > 0`,
		`sum(enotify_guard_verdicts_total{result="pass"}) > 0`,
		`sum(enotify_dns_questions_total) > 0`, `sum(enotify_connections) > 0`, `max(enotify_database_up) == 1`,
		`sum(enotify_delivery_seconds_count) > 150`,
	} {
		if got := p.evaluate(t, q); got == 0 {
			t.Errorf("%s: got nothing, want that it holds", q)
		}
	}
}

// A prometheus scrapes a node each second.
type prometheus struct{ url string }

func start(t *testing.T, node string) prometheus {
	t.Helper()
	dir := t.TempDir()
	rules, err := filepath.Abs("alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	config := fmt.Sprintf("global: {scrape_interval: 1s, evaluation_interval: 1s}\nrule_files: [%q]\nscrape_configs:\n  - {job_name: enotify, static_configs: [{targets: [%q]}]}\n", rules, node)
	file := filepath.Join(dir, "prometheus.yml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	output(t, "promtool", "check", "config", file)
	p := prometheus{"http://" + sitetest.FreePort(t)}
	cmd := exec.Command("prometheus", "--config.file="+file, "--storage.tsdb.path="+filepath.Join(dir, "data"),
		"--web.listen-address="+strings.TrimPrefix(p.url, "http://"), "--log.level=error")
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		if n, err := p.query(`sum_over_time(up{job="enotify"}[1m]) >= 3`); err == nil && n > 0 {
			return p
		} else if time.Now().After(end) {
			t.Fatalf("Prometheus has not scraped the node: got %d results (%v), want three scrapes", n, err)
		}
	}
}

// query returns how many results a query has.
func (p prometheus) query(q string) (n int, err error) {
	var answer struct {
		Error string
		Data  struct{ Result []any }
	}
	err = p.get("/api/v1/query?query="+url.QueryEscape(q), &answer)
	if err == nil && answer.Error != "" {
		err = fmt.Errorf("%s", answer.Error)
	}
	return len(answer.Data.Result), err
}

func (p prometheus) get(path string, into any) error {
	r, err := http.Get(p.url + path)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, into)
}

func (p prometheus) evaluate(t *testing.T, q string) int {
	t.Helper()
	n, err := p.query(q)
	if err != nil {
		t.Errorf("%s: %v", q, err)
	}
	return n
}

// metrics are the names that Prometheus has seen.
func (p prometheus) metrics(t *testing.T) []string {
	t.Helper()
	var answer struct{ Data []string }
	if err := p.get("/api/v1/label/__name__/values", &answer); err != nil {
		t.Fatal(err)
	}
	return answer.Data
}

// rules waits until each rule was evaluated, and checks that all could be.
func (p prometheus) rules(t *testing.T) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		var answer struct {
			Data struct {
				Groups []struct {
					Rules []struct{ Name, Health, LastError string }
				}
			}
		}
		if err := p.get("/api/v1/rules", &answer); err != nil {
			t.Fatal(err)
		}
		unknown := 0
		for _, g := range answer.Data.Groups {
			for _, r := range g.Rules {
				switch r.Health {
				case "unknown":
					unknown++
				case "ok":
				default:
					t.Errorf("rule %s: %s: %s", r.Name, r.Health, r.LastError)
				}
			}
		}
		if unknown == 0 && len(answer.Data.Groups) > 0 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%d rules were not evaluated", unknown)
		}
	}
}

// dashboard lists the queries of all panels, with a range in place of Grafana's.
func dashboard(t *testing.T) (queries []string) {
	t.Helper()
	text, err := os.ReadFile("grafana.json")
	if err != nil {
		t.Fatal(err)
	}
	var d struct {
		Panels []struct {
			Title   string
			Type    string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	for _, p := range d.Panels {
		if len(p.Targets) == 0 && p.Type != "row" {
			t.Errorf("panel %s: it asks for nothing", p.Title)
		}
		for _, target := range p.Targets {
			queries = append(queries, strings.ReplaceAll(target.Expr, "$__rate_interval", "1m"))
		}
	}
	return queries
}

// ruleQueries are the expressions of the rules, a line or more each.
func ruleQueries(t *testing.T) (queries []string) {
	t.Helper()
	output(t, "promtool", "check", "rules", "alerts.yml")
	text, err := os.ReadFile("alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	for _, match := range regexp.MustCompile(`(?m)^ +expr: (?:>-\n)?((?:.*\n)(?: {10}.*\n)*)`).FindAllStringSubmatch(string(text), -1) {
		queries = append(queries, strings.Join(strings.Fields(match[1]), " "))
	}
	return queries
}

func output(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}
