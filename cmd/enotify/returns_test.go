package main_test

import (
	"encoding/json"
	"fmt"
	"net"
	"net/textproto"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"enotify/cmd/enotify/sitetest"
	"enotify/queue/queuetest"
	"enotify/sender/smtptest"
	"enotify/sender/token"
)

// The receiver takes a message, and brings it back afterwards: the outcome
// turns, the address is suppressed, and a second copy changes nothing.
func TestBounceAfterDelivery(t *testing.T) {
	t.Parallel()
	s := newBouncingSite(t)
	at, lmtp := sitetest.FreePort(t), sitetest.FreePort(t)
	node := s.Start("run", "--bounce-listen", at, "--bounce-listen", "lmtp://"+lmtp)
	batch := s.Enqueue("menu", "Soup.", 3, 1)
	s.Until(`SELECT state = 'done' FROM enotify.batch WHERE id = $1`, batch)
	if got, want := s.States(batch), "delivered 3"; got != want {
		t.Fatalf("at first: got %s, want %s", got, want)
	}
	if got := ask[string](s, `SELECT string_agg(DISTINCT domain, ' ') FROM enotify.verdict WHERE identity = 'mailfrom' AND superseded_at IS NULL`); got != "bounce.town.example" {
		t.Errorf("the guard looked at %s, want the domain of the return path", got)
	}
	messages := s.SMTP.Messages()
	paths := map[string]bool{}
	for _, m := range messages {
		if !regexp.MustCompile(`^b-[a-z0-9]+-[a-z2-7]+-[a-z2-7]{16}@bounce\.town\.example$`).MatchString(m.From) {
			t.Errorf("return path: got %s, want a signed one", m.From)
		}
		paths[m.From] = true
	}
	if len(paths) != len(messages) {
		t.Errorf("return paths: got %d for %d recipients, want one each", len(paths), len(messages))
	}

	m := messages[0]
	for range 2 {
		if code := s.Bring(at, "", m.From, sitetest.Gone(m.From, "somebody.else@forwarded.test")); code != 250 {
			t.Errorf("the bounce: got %d, want 250", code)
		}
	}
	if code := s.Bring(at, "", strings.Replace(m.From, "b-", "b-9", 1), sitetest.Gone(m.From, m.To[0])); code != 550 {
		t.Errorf("a forged one: got %d, want 550", code)
	}
	if code := s.Bring(at, "", messages[1].From, "Subject: \x00\xff\n\n--r\nContent-Type: multipart/"); code != 250 {
		t.Errorf("nonsense: got %d, want 250", code)
	}
	got := ask[string](s, `SELECT concat_ws(' ', d.state, d.class, d.code, s.cause, s.client_id) FROM enotify.delivery d LEFT JOIN enotify.suppression s ON s.address = d.address WHERE d.batch_id = $1 AND d.address = $2`, batch, m.To[0])
	if want := "bounced no_such_user 550"; got != want { // the address it was forwarded to is gone, not this one
		t.Errorf("outcome and suppression: got %q, want %q", got, want)
	}
	if got, want := s.States(batch), "bounced 1, delivered 2"; got != want {
		t.Errorf("all: got %s, want %s", got, want)
	}
	if got := ask[string](s, `SELECT concat_ws(' ', bounced, delivered) FROM enotify.batch_status WHERE id = $1`,
		batch); got != "1 2" {
		t.Errorf("counted: got %s bounced and delivered, want 1 2", got)
	}
	if got := ask[int](s, `SELECT count(*)::int FROM enotify.report WHERE kind = 'bounce'`); got != 1 {
		t.Errorf("bounces recorded: got %d, want 1", got)
	}
	s.Run("batch", "audit", fmt.Sprint(batch))

	// read from a mailbox, it is known as well
	box := filepath.Join(t.TempDir(), "mbox")
	if err := os.WriteFile(box, []byte("From MAILER-DAEMON Mon Nov 23 08:00:00 2026\nReceived: from elsewhere\n"+
		sitetest.Gone(m.From, m.To[0])+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := s.Run("bounce", "ingest", "-o", "json", box); !strings.Contains(got, `"known": true`) {
		t.Errorf("bounce ingest: got %s, want it known", got)
	}

	if err := node.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := node.Wait(); err != nil {
		t.Errorf("run after SIGTERM: %v, want exit 0", err)
	}
}

// A bounce that cannot be recorded is not answered for: the other side keeps
// it, and tries again.
func TestBounceWaitsForTheDatabase(t *testing.T) {
	t.Parallel()
	s := newBouncingSite(t)
	at := sitetest.FreePort(t)
	s.Start("run", "--bounce-listen", at)
	batch := s.Enqueue("menu", "Soup.", 1, 1)
	s.Until(`SELECT state = 'done' FROM enotify.batch WHERE id = $1`, batch)
	m := s.SMTP.Messages()[0]
	s.Exec(`ALTER TABLE enotify.report RENAME TO elsewhere`)
	if code := s.Bring(at, "", m.From, sitetest.Gone(m.From, m.To[0])); code != 451 {
		t.Errorf("without a table to record it in: got %d, want 451", code)
	}
	if got, want := s.States(batch), "delivered 1"; got != want {
		t.Errorf("half recorded: got %s, want %s", got, want)
	}
	s.Exec(`ALTER TABLE enotify.elsewhere RENAME TO report`)
	if code := s.Bring(at, "", m.From, sitetest.Gone(m.From, m.To[0])); code != 250 {
		t.Errorf("with the table: got %d, want 250", code)
	}
	if got, want := s.States(batch), "bounced 1"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// By LMTP, from a mail server in front; and the mail by which a reader unsubscribes.
func TestUnsubscribeByMail(t *testing.T) {
	t.Parallel()
	s := newSite(t, smtptest.Config{})
	s.Exec(`UPDATE enotify.client SET bounce = 'operator'`)
	s.DNS.PutTXT("mail.host.example", "v=spf1 ip4:192.0.2.10 -all")
	lmtp := sitetest.FreePort(t)
	s.Start("run", "--bounce-listen", "lmtp://"+lmtp, "--bounce-domain", "mail.host.example")
	batch := s.Enqueue("menu", "Soup.", 1, 1)
	s.Until(`SELECT state = 'done' FROM enotify.batch WHERE id = $1`, batch)
	path := s.SMTP.Messages()[0].From
	if !strings.HasSuffix(path, "@mail.host.example") {
		t.Errorf("return path: got %s, want it at the operator's domain", path)
	}
	keys := token.Keys{{ID: ask[string](s, `SELECT id FROM enotify.token_key`),
		Secret: ask[[]byte](s, `SELECT secret FROM enotify.token_key`)}}
	unsubscribe := keys.Address(token.Unsubscribe, token.Subject{Batch: batch, Seq: 1}, "mail.host.example")

	c, err := net.Dial("tcp", lmtp)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	text := textproto.NewConn(c)
	for _, step := range []struct {
		say  string
		want int
	}{
		{"", 220}, {"LHLO front.host.example", 250}, {"MAIL FROM:<reader@d0.test>", 250},
		{"RCPT TO:<" + path + ">", 250},
		{"RCPT TO:<" + strings.Replace(path, "b-", "u-", 1) + ">", 550}, // signed for another purpose
		{"RCPT TO:<" + unsubscribe + ">", 250},
		{"DATA", 354}, {"From: reader@d0.test\r\n\r\nstop\r\n.", 250}, {"", 250}, // an answer for each recipient
	} {
		if step.say != "" {
			if err := text.PrintfLine("%s", step.say); err != nil {
				t.Fatal(err)
			}
		}
		if code, said, err := text.ReadResponse(0); err != nil || code != step.want {
			t.Fatalf("%s: got %d %s, %v; want %d", step.say, code, said, err, step.want)
		}
	}
	if got := ask[string](s, `SELECT string_agg(kind, ' ') FROM enotify.report`); got != "other" {
		t.Errorf("reports: got %s, want other", got)
	}
	if got, want := s.States(batch), "delivered 1"; got != want {
		t.Errorf("a person's mail to a return path: got %s, want %s", got, want)
	}
	got := ask[string](s, `SELECT string_agg(concat_ws(' ', s.address, s.cause, c.domain), ', ') FROM enotify.suppression s LEFT JOIN enotify.client c ON c.id = s.client_id`)
	if want := "user1@d0.test unsubscribe town.example"; got != want {
		t.Errorf("suppressed: got %s, want %s", got, want)
	}
}

// Reports that nobody signed are matched by Message-ID and address, where both
// fit; an address alone matches nobody.
func TestIngestUnsigned(t *testing.T) {
	t.Parallel()
	s := newSite(t, smtptest.Config{})
	batch := s.Enqueue("menu", "Soup.", 4, 1)
	s.Run("run", "--until-idle")
	dir := t.TempDir()
	for _, sub := range []string{"new", "cur", "tmp"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	var ids []string
	for _, m := range s.SMTP.Messages() {
		ids = append(ids, regexp.MustCompile(`(?i)Message-ID: (<.*>)`).FindStringSubmatch(string(m.Data))[1])
	}
	to := func(i int) string { return s.SMTP.Messages()[i].To[0] }
	withID := func(mail, id string) string {
		return strings.Replace(mail, "Return-Path:", "Message-ID: "+id+"\nReturn-Path:", 1)
	}
	for name, mail := range map[string]string{
		"new/1": withID(sitetest.Gone("info@town.example", to(0)), ids[0]),
		// an address alone: nobody
		"cur/2:2,": sitetest.Gone("info@town.example", to(1)),
		// of another address than its ID: nobody
		"cur/3": withID(sitetest.Gone("info@town.example", "stranger@d0.test"), ids[2]),
		"cur/4": "From: mailer-daemon@mx.test\nSubject: delayed\n\nIt will be retried.\n", //
		"tmp/5": sitetest.Gone("info@town.example", to(3)),                                // being written
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(mail), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, known := range []int{0, 1} {
		var got struct{ Summary map[string]int }
		if err := json.Unmarshal([]byte(s.Run("bounce", "ingest", "-o", "json", dir)), &got); err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]int{"read": 4, "bounces": 3, "delays": 1, "matched": 1, "known": known,
			"changed": 1 - known, "unmatched": 2} {
			if got.Summary[name] != want {
				t.Errorf("%s: got %d, want %d", name, got.Summary[name], want)
			}
		}
	}
	if got, want := s.States(batch), "bounced 1, delivered 3"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := ask[string](s, `SELECT string_agg(address, ' ') FROM enotify.suppression`); got != to(0) {
		t.Errorf("suppressed: got %s, want %s alone", got, to(0))
	}
	cmd := s.Enotify("bounce", "ingest", "--strict", dir)
	if err := cmd.Run(); err == nil || cmd.ProcessState.ExitCode() != 3 {
		t.Errorf("--strict with one that matches nobody: got %v, want exit 3", err)
	}
}

// Who may not record is told whose login it takes, before anything is read.
func TestIngestNeedsASender(t *testing.T) {
	t.Parallel()
	s := newSite(t, smtptest.Config{})
	s.URL = queuetest.Login(t, s.URL, "enotify_admin")
	cmd := s.Enotify("bounce", "ingest", "-")
	cmd.Stdin = strings.NewReader(sitetest.Gone("info@town.example", "user1@d0.test"))
	var stderr strings.Builder
	cmd.Stderr = &stderr
	if err := cmd.Run(); err == nil || cmd.ProcessState.ExitCode() != 1 ||
		!strings.Contains(stderr.String(), "enotify_sender") {
		t.Errorf("as an admin: got %v, %q; want exit 1 and a line that names enotify_sender", err, stderr.String())
	}
}
