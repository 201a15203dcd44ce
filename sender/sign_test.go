package sender_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	msgauth "github.com/emersion/go-msgauth/dkim"

	"enotify/queue"
	"enotify/sender/dkim"
	"enotify/sender/smtptest"
	"enotify/sender/token"
	"enotify/spfguard"
)

// signs makes the sender of w a signer for from.test, with a key of each type,
// and publishes their records. It returns the selectors.
func (w *world) signs(t testing.TB, kinds ...string) (selectors []string) {
	t.Helper()
	w.sender.DKIM.Path = t.TempDir()
	for _, kind := range kinds {
		key, err := w.sender.DKIM.Generate("from.test", "s-"+kind, kind)
		if err != nil {
			t.Fatal(err)
		}
		w.dns.Put(spfguard.ZoneLine(key.Name(), key.Record()) + "\n")
		selectors = append(selectors, key.Selector)
	}
	return selectors
}

// verify has an independent verifier look at a message, which needs one good
// signature for each selector.
func (w *world) verify(t testing.TB, data []byte, selectors []string) {
	t.Helper()
	found, err := msgauth.VerifyWithOptions(bytes.NewReader(data),
		&msgauth.VerifyOptions{LookupTXT: func(name string) ([]string, error) {
			answer, err := w.sender.Resolver.TXT(t.Context(), name)
			return answer.Records, err
		}})
	if err != nil || len(found) != len(selectors) {
		t.Fatalf("signatures: got %d, %v, want %d\n%s", len(found), err, len(selectors), data)
	}
	for _, v := range found {
		if v.Err != nil || v.Domain != "from.test" {
			t.Errorf("signature of %s: got %v, want a good one of from.test\n%s", v.Domain, v.Err, data)
		}
		covered := strings.ToLower(strings.Join(v.HeaderKeys, " "))
		header, _, _ := bytes.Cut(data, []byte("\r\n\r\n"))
		for line := range bytes.SplitSeq(header, []byte("\r\n")) {
			name, _, isField := strings.Cut(strings.ToLower(string(line)), ":")
			if isField && line[0] != ' ' && name != "dkim-signature" && !slices.Contains(v.HeaderKeys, name) &&
				!strings.Contains(" "+covered+" ", " "+name+" ") {
				t.Errorf("covered: got %s, without %s", covered, name)
			}
		}
		for _, name := range []string{"from from", "to to", "subject subject", "date date"} {
			if !strings.Contains(covered, name) {
				t.Errorf("covered: got %s, want %s, so that none can be added", covered, name)
			}
		}
		for _, name := range []string{"list-unsubscribe list-unsubscribe",
			"list-unsubscribe-post list-unsubscribe-post"} {
			if bytes.Contains(data, []byte("List-Unsubscribe-Post:")) && !strings.Contains(covered, name) {
				t.Errorf("covered: got %s, want %s", covered, name)
			}
		}
	}
}

// What is signed is what is sent, whatever the batch holds.
func TestSigned(t *testing.T) {
	t.Parallel()
	w, host := one(t, smtptest.Config{})
	selectors := w.signs(t, dkim.RSA, dkim.Ed25519)
	w.sender.Keys = token.Keys{{ID: "1", Secret: []byte(strings.Repeat("secret", 6))}}
	tests := []struct {
		name string
		edit func(b *queue.Batch)
	}{
		{"plain", func(*queue.Batch) {}},
		{"no body", func(b *queue.Batch) { b.Text = "" }},
		{"dots and white space", func(b *queue.Batch) { b.Text = ".\n..a \t\n \n\n.\n\n\n" }},
		{"long lines", func(b *queue.Batch) { b.Text = strings.Repeat("word ", 5000) + strings.Repeat("ü", 3000) }},
		{"UTF-8 in header fields", func(b *queue.Batch) {
			b.FromName, b.Subject = "Bürgerbüro, Altstadt", strings.Repeat("Größe und länge ", 20)
		}},
		{"merged subject", func(b *queue.Batch) { b.Subject = "For {{.name}}" }},
		{"merged body", func(b *queue.Batch) { b.Text, b.HTML = "Dear {{.name}}", "<p>Dear {{.name}}</p>" }},
		{"attachments", func(b *queue.Batch) {
			b.HTML, b.Attachments = "<p>Hi</p>",
				[]queue.Attachment{{Filename: "plan für alle.pdf", ContentType: "application/pdf",
					Content: bytes.Repeat([]byte{0, 1, 255}, 9999)}}
		}},
		{"fields of its own", func(b *queue.Batch) {
			b.Headers = []queue.Header{{Name: "X-One", Value: "1"}, {Name: "X-Two", Value: "{{.name}}"},
				{Name: "X-One", Value: "Größe  2"}}
			b.AutoSubmitted, b.Precedence = "auto-generated", "bulk"
			b.Bounces = queue.Bounces{Mode: queue.BounceOwn, Domain: "b.from.test"}
		}},
		{"one-click unsubscribe", func(b *queue.Batch) {
			b.ListUnsubscribe, b.ReplyTo = "https://from.test/u/{{.address}}"+strings.Repeat("x", 150),
				"office@from.test"
		}},
	}
	for i, test := range tests {
		b := *testBatch
		b.DKIMSelectors = selectors
		test.edit(&b)
		for seq := range 2 { // the second with what the first has left
			if o := w.deliver(t, to(&b, seq+1, "u@a.test", `{"name":"N & M"}`)); o.State != queue.Delivered {
				t.Fatalf("%s: got %+v, want delivered", test.name, o)
			}
			got := host.Messages()[2*i+seq].Data
			w.verify(t, got, selectors)
			if n := bytes.Count(got, []byte("DKIM-Signature:")); n != 2 ||
				!bytes.HasPrefix(got, []byte("DKIM-Signature:")) {
				t.Errorf("%s: got %d signature fields, want 2 at the very front", test.name, n)
			}
		}
	}
}

// Many at once share keys and the letter.
// The operator's key signs beside the client's, and alone for a client without keys.
func TestOperatorSignsToo(t *testing.T) {
	t.Parallel()
	w, host := one(t, smtptest.Config{})
	selectors := w.signs(t, dkim.Ed25519)
	operator, err := w.sender.DKIM.Generate("host.test", "op", dkim.RSA)
	if err != nil {
		t.Fatal(err)
	}
	w.dns.Put(spfguard.ZoneLine(operator.Name(), operator.Record()) + "\n")
	w.sender.Operator = operator
	for i, c := range []struct {
		selectors []string
		want      string
	}{{selectors, "from.test host.test"}, {nil, "host.test"}} {
		b := *testBatch
		b.DKIMSelectors = c.selectors
		if o := w.deliver(t, to(&b, i+1, "u@a.test", "")); o.State != queue.Delivered {
			t.Fatalf("outcome: got %+v, want delivered", o)
		}
		var got []string
		found, err := msgauth.VerifyWithOptions(bytes.NewReader(host.Messages()[i].Data),
			&msgauth.VerifyOptions{LookupTXT: func(name string) ([]string, error) {
				answer, err := w.sender.Resolver.TXT(t.Context(), name)
				return answer.Records, err
			}})
		for _, v := range found {
			got = append(got, v.Domain)
			err = errors.Join(err, v.Err)
		}
		if err != nil || strings.Join(got, " ") != c.want {
			t.Errorf("signed by: got %v, %v, want %s", got, err, c.want)
		}
	}
}

func TestSignedAtOnce(t *testing.T) {
	t.Parallel()
	w, host := one(t, smtptest.Config{})
	b := *testBatch
	b.DKIMSelectors = w.signs(t, dkim.Ed25519)
	for _, o := range w.deliverAll(t, &b, "a.test", 50) {
		if o.State != queue.Delivered {
			t.Errorf("outcome: got %+v, want delivered", o)
		}
	}
	for _, m := range messages(t, host, 50) {
		w.verify(t, m.Data, b.DKIMSelectors)
	}
}

// A client that signs is never sent for without: its messages wait for the key,
// at no cost to them, while other clients' messages go out.
func TestMissingKeyHolds(t *testing.T) {
	t.Parallel()
	w, host := one(t, smtptest.Config{})
	selectors := w.signs(t, dkim.Ed25519)
	b := *testBatch
	b.DKIMSelectors = append(selectors, "s2")
	o := w.deliver(t, to(&b, 1, "u@a.test"))
	if o.State != queue.Deferred || o.Class != queue.NotBegun || o.After != time.Minute ||
		!strings.Contains(o.Reply.Text, "from.test/s2.pem") || host.Connections() != 0 {
		t.Errorf("one key of two is missing: got %+v over %d connections, want it held for a minute and the file named",
			o, host.Connections())
	}
	if o := w.deliver(t, to(testBatch, 1, "u@a.test")); o.State != queue.Delivered {
		t.Errorf("a client that does not sign: got %+v, want delivered", o)
	}
	text, err := os.ReadFile(w.sender.DKIM.File("from.test", selectors[0]))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(w.sender.DKIM.File("from.test", "s2"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	if o := w.deliver(t, to(&b, 1, "u@a.test")); o.State != queue.Delivered {
		t.Errorf("the key is there: got %+v, want delivered", o)
	}
}

// BenchmarkSignedDeliver hands over messages of 10 KB by 10 connections.
func BenchmarkSignedDeliver(b *testing.B) {
	for _, kinds := range [][]string{{}, {dkim.Ed25519}, {dkim.RSA}, {dkim.RSA, dkim.Ed25519}} {
		for _, merge := range []string{"", "Dear {{.name}}\n"} {
			b.Run(fmt.Sprintf("keys=%s/merged=%v", strings.Join(kinds, "+"), merge != ""), func(b *testing.B) {
				w, _ := one(b, smtptest.Config{Discard: true})
				batch := *testBatch
				batch.DKIMSelectors, batch.Text = w.signs(b, kinds...), merge+body
				m := to(&batch, 1, "u@a.test", `{"name":"Somebody"}`)
				cpu := cpuTime()
				b.ReportAllocs()
				for b.Loop() {
					if o := w.sender.Deliver(context.Background(), m); o.State != queue.Delivered {
						b.Fatalf("outcome: %+v", o)
					}
				}
				b.ReportMetric(float64((cpuTime()-cpu).Microseconds())/float64(b.N), "cpu-µs/msg")
			})
		}
	}
}
