//go:build check

package demo_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"enotify/cmd/enotify/demo"
	"enotify/queue"
	"enotify/sender"
	"enotify/sender/dkim"
	"enotify/sender/token"
)

// maxScore is what SpamAssassin may give a message; it calls spam what has 5.
const maxScore = 1.0

// What the demo sends, and ten newsletters as people write them, are no spam to
// SpamAssassin. It asks nobody: the rules of the Debian package alone judge.
func TestSpamAssassin(t *testing.T) {
	t.Parallel()
	program, err := exec.LookPath("spamassassin")
	if err != nil {
		t.Fatalf("%v; install it: apt-get install spamassassin", err)
	}
	messages := map[string]demo.Sent{}
	for i, s := range demo.Sents() {
		messages[fmt.Sprintf("demo %d: %s", i+1, s.Subject)] = s
	}
	files, err := filepath.Glob("testdata/newsletters/*.txtar")
	if err != nil || len(files) < 10 {
		t.Fatalf("newsletters: got %d, %v, want ten", len(files), err)
	}
	for _, file := range files {
		messages[filepath.Base(file)] = newsletterOf(t, file)
	}
	mail := &sender.Sender{
		Keys:      token.Keys{{ID: "1", Secret: []byte(strings.Repeat("secret", 6))}},
		PublicURL: "https://mail.host.example",
	}
	mail.DKIM.Path = t.TempDir()
	home := t.TempDir()
	for name, s := range messages {
		t.Run(name, func(t *testing.T) {
			score, rules := scoreOf(t, program, home, written(t, mail, s))
			t.Logf("%4.1f  %s", score, strings.Join(rules, " "))
			if score >= maxScore {
				t.Errorf("score: got %.1f, want under %.1f; rules: %s", score, maxScore, strings.Join(rules, ", "))
			}
		})
	}
}

// newsletterOf reads a newsletter: fields, then files.
func newsletterOf(t *testing.T, file string) (s demo.Sent) {
	t.Helper()
	archive, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(archive.Comment)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		switch name {
		case "from":
			s.From = value
		case "from-name":
			s.FromName = value
		case "subject":
			s.Subject = value
		case "data":
			s.Data = json.RawMessage(value)
		case "priority":
			s.Priority, _ = strconv.Atoi(value)
		case "attach":
			for name := range strings.SplitSeq(value, ", ") {
				content := bytes.Repeat([]byte("%PDF-1.7 "+name+"\n"), 200)
				if strings.HasSuffix(name, ".ics") {
					content = []byte("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nMETHOD:REQUEST\r\nBEGIN:VEVENT\r\nUID:1@museum.example\r\nDTSTAMP:20260401T080000Z\r\nDTSTART:20260514T163000Z\r\nSUMMARY:Lighthouse keepers\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n")
				}
				s.Attachments = append(s.Attachments, queue.Attachment{Filename: name, Content: content})
			}
		default:
			t.Fatalf("%s: no such field: %q", file, line)
		}
	}
	for _, f := range archive.Files {
		switch f.Name {
		case "text":
			s.Text = string(f.Data)
		case "html":
			s.HTML = string(f.Data)
		}
	}
	return s
}

// written is the message as a receiver has it: signed, and with the fields that
// its own host adds.
func written(t *testing.T, mail *sender.Sender, s demo.Sent) []byte {
	t.Helper()
	b := s.Batch
	b.ID, b.CreatedAt, b.StartedAt = 7, time.Now(), time.Now()
	b.Client = b.From[strings.IndexByte(b.From, '@')+1:]
	b.Bounces = queue.Bounces{Mode: queue.BounceOwn, Domain: "bounce." + b.Client}
	b.AutoSubmitted = "auto-generated"
	b.DKIMSelectors = []string{"s1"}
	if _, err := os.Stat(mail.DKIM.File(b.Client, "s1")); err != nil {
		if _, err := mail.DKIM.Generate(b.Client, "s1", dkim.RSA); err != nil {
			t.Fatal(err)
		}
	}
	text, err := mail.Render(queue.Message{Batch: &b, Seq: 1, Address: "ada.lovelace@mail.example.net",
		Domain: "mail.example.net", Data: s.Data})
	if err != nil {
		t.Fatal(err)
	}
	// Addresses that are kept for examples cost points; nobody is asked about this one.
	received := "Return-Path: <b-1-aaaa-aaaa@" + b.Bounces.Domain +
		">\r\nReceived: from mail.host.example (mail.host.example [5.9.0.10])\r\n" +
		"\tby mx.example.net (Postfix) with ESMTPS id 4Xyz\r\n\tfor <ada.lovelace@mail.example.net>; " +
		time.Now().Format(time.RFC1123Z) + "\r\n"
	return append([]byte(received), text...)
}

var status = regexp.MustCompile(`X-Spam-Status: \w+, score=(-?[0-9.]+) [^\n]*?tests=([A-Za-z0-9_,\s]*?)\s*(?:autolearn|version)=`)

// scoreOf has SpamAssassin judge a message, without the network.
func scoreOf(t *testing.T, program, home string, message []byte) (score float64, rules []string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, "--local", "--test-mode", "--nocreate-prefs")
	cmd.Env = append(os.Environ(), "HOME="+home)
	cmd.Stdin = bytes.NewReader(bytes.ReplaceAll(message, []byte("\r\n"), []byte("\n")))
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %.500s", err, stderr.String())
	}
	found := status.FindStringSubmatch(string(out))
	if found == nil {
		t.Fatalf("no score in %.2000s", out)
	}
	if score, err = strconv.ParseFloat(found[1], 64); err != nil {
		t.Fatal(err)
	}
	return score, strings.FieldsFunc(found[2], func(r rune) bool { return r == ',' || r <= ' ' })
}
