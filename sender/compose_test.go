package sender_test

import (
	"bytes"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"net/netip"
	"strings"
	"testing"

	"enotify/queue"
	"enotify/sender/compose"
	"enotify/sender/smtptest"
	"enotify/sender/token"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// received delivers m and returns what arrived.
func received(t *testing.T, m queue.Message) smtptest.Message {
	t.Helper()
	w, host := one(t, smtptest.Config{})
	if o := w.deliver(t, m); o.State != queue.Delivered {
		t.Fatalf("outcome: got %+v, want delivered", o)
	}
	got := host.Messages()[0]
	if got.BareEnds != 0 {
		t.Errorf("bare CR or LF: got %d, want 0", got.BareEnds)
	}
	for line := range bytes.SplitSeq(got.Data, []byte("\r\n")) {
		if len(line) > 998 {
			t.Errorf("a line of %d octets", len(line))
		}
	}
	return got
}

func parse(t *testing.T, data []byte) (mail.Header, string) {
	t.Helper()
	m, err := mail.ReadMessage(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(m.Body)
	if err != nil {
		t.Fatal(err)
	}
	return m.Header, string(body)
}

func TestCompose(t *testing.T) {
	t.Parallel()
	b := *testBatch
	b.FromName = "Bürgerbüro, Altstadt"
	b.ReplyTo = "office@from.test"
	b.Subject = "Größe"
	b.Text = "Zeile 1\nZeile mit Umlaut: ä\r\n.punkt\nbare\rCR"
	b.ListUnsubscribe = "https://from.test/u?x=1&y=2"
	b.AutoSubmitted, b.Precedence = "auto-generated", "list"
	b.Headers = []queue.Header{{Name: "X-Campaign", Value: "Mai für alle"}}
	got := received(t, to(&b, 3, "user@a.test"))
	if got.From != "news@from.test" || got.To[0] != "user@a.test" {
		t.Errorf("envelope: got %s to %s", got.From, got.To)
	}
	header, body := parse(t, got.Data)
	dec := new(mime.WordDecoder)
	decoded := map[string]string{}
	for name := range header {
		decoded[name], _ = dec.DecodeHeader(header.Get(name))
	}
	want := map[string]string{
		"From":                      `"Bürgerbüro, Altstadt" <news@from.test>`,
		"To":                        "<user@a.test>",
		"Reply-To":                  "<office@from.test>",
		"Subject":                   "Größe",
		"Date":                      "Tue, 03 Feb 2026 04:05:06 +0000",
		"Message-Id":                "<enotify.7.3.hfg0t89i80@from.test>",
		"Mime-Version":              "1.0",
		"Auto-Submitted":            "auto-generated",
		"Precedence":                "list",
		"List-Id":                   "Bürgerbüro, Altstadt <notify.from.test>",
		"Feedback-Id":               "7:from.test:news:enotify",
		"X-Campaign":                "Mai für alle",
		"List-Unsubscribe":          "<https://from.test/u?x=1&y=2>",
		"List-Unsubscribe-Post":     "List-Unsubscribe=One-Click",
		"Content-Type":              "text/plain; charset=UTF-8",
		"Content-Transfer-Encoding": "quoted-printable",
	}
	want["From"] = decoded["From"]
	if from, err := mail.ParseAddress(header.Get("From")); err != nil || from.Name != "Bürgerbüro, Altstadt" ||
		from.Address != "news@from.test" {
		t.Errorf("From: got %v, %v", from, err)
	}
	if diff := cmp.Diff(want, decoded); diff != "" {
		t.Errorf("header (-want +got):\n%s", diff)
	}
	text, _ := io.ReadAll(quotedprintable.NewReader(strings.NewReader(body)))
	if want := "Zeile 1\r\nZeile mit Umlaut: ä\r\n.punkt\r\nbare\r\nCR"; strings.TrimSuffix(string(text),
		"\r\n") != want {
		t.Errorf("text: got %q, want %q", text, want)
	}
}

// parts flattens a multipart body into "type: text" lines.
func parts(t *testing.T, contentType, encoding string, body io.Reader) []string {
	t.Helper()
	mediaType, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(mediaType, "multipart/") {
		if encoding == "quoted-printable" {
			body = quotedprintable.NewReader(body)
		}
		text, err := io.ReadAll(body)
		if err != nil {
			t.Fatal(err)
		}
		return []string{mediaType + ": " + strings.TrimSpace(string(text))}
	}
	got := []string{mediaType}
	r := multipart.NewReader(body, params["boundary"])
	for {
		p, err := r.NextRawPart()
		if err == io.EOF {
			return got
		}
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, parts(t, p.Header.Get("Content-Type"), p.Header.Get("Content-Transfer-Encoding"), p)...)
	}
}

func TestComposeParts(t *testing.T) {
	t.Parallel()
	file := queue.Attachment{Filename: "plan.pdf", ContentType: "application/pdf", Content: []byte("%PDF")}
	tests := []struct {
		name  string
		text  string
		html  string
		files []queue.Attachment
		want  []string
	}{
		{"text", "Hi", "", nil, []string{"text/plain: Hi"}},
		{"html", "", "<p>Hi</p>", nil, []string{"multipart/alternative", "text/plain: Hi", "text/html: <p>Hi</p>"}},
		{"both", "Hi", "<p>Hi</p>", nil, []string{"multipart/alternative", "text/plain: Hi", "text/html: <p>Hi</p>"}},
		{"file", "Hi", "", []queue.Attachment{file},
			[]string{"multipart/mixed", "text/plain: Hi", "application/pdf: JVBERg=="}},
		{"all", "Hi", "<p>Hi</p>", []queue.Attachment{file, {Filename: "a.txt", Content: []byte("x")}},
			[]string{"multipart/mixed", "multipart/alternative", "text/plain: Hi", "text/html: <p>Hi</p>",
				"application/pdf: JVBERg==", "text/plain: eA=="}},
		{"merged", "Hi {{.name}}", "<p>Hi {{.name}}</p>", []queue.Attachment{file},
			[]string{"multipart/mixed", "multipart/alternative", "text/plain: Hi A & B",
				"text/html: <p>Hi A &amp; B</p>", "application/pdf: JVBERg=="}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := *testBatch
			b.Text, b.HTML, b.Attachments = test.text, test.html, test.files
			header, body := parse(t, received(t, to(&b, 1, "user@a.test", `{"name":"A & B"}`)).Data)
			got := parts(t, header.Get("Content-Type"), header.Get("Content-Transfer-Encoding"),
				strings.NewReader(body))
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("parts (-want +got):\n%s", diff)
			}
		})
	}
}

func TestMerge(t *testing.T) {
	t.Parallel()
	b := *testBatch
	b.Subject = "Nr. {{.number}} für {{.name}}"
	b.Text = "{{.name}} {{.number}} {{.price}} {{.address}} {{.deep.er}}"
	b.ListUnsubscribe = "https://from.test/u/{{.token}}"
	header, body := parse(t, received(t, to(&b, 1, "user@a.test",
		`{"name":"Ünal","number":10000000000000000001,"price":1.50,"token":"t%2B","deep":{"er":true}}`)).Data)
	subject, _ := new(mime.WordDecoder).DecodeHeader(header.Get("Subject"))
	if want := "Nr. 10000000000000000001 für Ünal"; subject != want {
		t.Errorf("subject: got %q, want %q", subject, want)
	}
	text, _ := io.ReadAll(quotedprintable.NewReader(strings.NewReader(body)))
	if want := "Ünal 10000000000000000001 1.50 user@a.test true"; strings.TrimSpace(string(text)) != want {
		t.Errorf("text: got %q, want %q", text, want)
	}
	if got, want := header.Get("List-Unsubscribe"), "<https://from.test/u/t%2B>"; got != want {
		t.Errorf("list-unsubscribe: got %q, want %q", got, want)
	}
}

// What cannot be composed is never begun, says why, and leaves the connection
// to the next.
func TestInvalid(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		edit func(b *queue.Batch)
		data string
		want string
	}{
		{"missing in subject", func(b *queue.Batch) { b.Subject = "{{.name}}" }, `{}`,
			`the recipient's data has no value for the merge field "name" of the subject`},
		{"no data", func(b *queue.Batch) { b.Text = "{{.name}}" }, ``,
			`the recipient's data has no value for the merge field "name" of the text`},
		{"null data", func(b *queue.Batch) { b.Text = "{{.name}}" }, `null`,
			`the recipient's data has no value for the merge field "name" of the text`},
		{"null", func(b *queue.Batch) { b.HTML = "<p>{{.name}}</p>" }, `{"name":null}`,
			`the recipient's data has no value for the merge field "name" of the html`},
		{"null inside", func(b *queue.Batch) { b.HTML = "<p>{{.a.b}}</p>" }, `{"a":{"b":null}}`,
			`the recipient's data has no value for the merge field "b" of the html`},
		{"not an object", func(b *queue.Batch) { b.Text = "{{.name}}" }, `[1]`,
			"the recipient's data is no JSON object"},
		{"header injection", func(b *queue.Batch) { b.Subject = "{{.name}}" }, `{"name":"x\r\nBcc: all@from.test"}`,
			"the subject holds a tab, line break or other control character"},
		{"injection by own header", func(b *queue.Batch) {
			b.Headers = []queue.Header{{Name: "X-Y",
				Value: "{{.name}}"}}
		}, `{"name":"x\r\nBcc: all@from.test"}`,
			"the header field X-Y holds a line break or other control character"},
		{"injection by unsubscribe", func(b *queue.Batch) { b.ListUnsubscribe = "https://x.test/{{.name}}" },
			`{"name":"x>\r\nBcc: y"}`,
			`list-unsubscribe: "https://x.test/x>\r\nBcc: y" is no URI`},
		{"injection of a second URI", func(b *queue.Batch) { b.ListUnsubscribe = "https://x.test/{{.name}}" },
			`{"name":"x>,<mailto:all@x.test"}`,
			`list-unsubscribe: "https://x.test/x>,<mailto:all@x.test" is no URI`},
		{"endless word", func(b *queue.Batch) { b.Subject = "{{.name}}" }, `{"name":"` + strings.Repeat("x", 2000) +
			`"}`,
			"the subject has 2000 characters, where 900 are allowed"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var log commands
			w, host := one(t, smtptest.Config{Reply: log.reply(nil)})
			b := *testBatch
			test.edit(&b)
			want := queue.Outcome{State: queue.Invalid, Class: queue.Content, Reply: queue.Reply{Text: test.want}}
			if diff := cmp.Diff(want, w.deliver(t, to(&b, 1, "user@a.test", test.data)),
				cmpopts.EquateComparable(netip.Addr{})); diff != "" {
				t.Errorf("outcome (-want +got):\n%s", diff)
			}
			if err := compose.Check(&b); err != nil {
				t.Errorf("CheckTemplates: got %v, want nil: only this recipient is at fault", err)
			}
			if o := w.deliver(t, to(testBatch, 1, "user@a.test")); o.State != queue.Delivered {
				t.Errorf("the next: got %+v, want delivered", o)
			}
			said := []string{"1 CONNECT", "1 EHLO", "1 MAIL", "1 RCPT", "1 DATA", "1 ."}
			if diff := cmp.Diff(said, log.list()); diff != "" {
				t.Errorf("commands (-want +got):\n%s", diff)
			}
			if host.Delivered() != 1 {
				t.Errorf("delivered: got %d, want the next message alone", host.Delivered())
			}
		})
	}
}

func TestCheckTemplates(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		edit func(b *queue.Batch)
		want string // in the error
	}{
		{"subject", func(b *queue.Batch) { b.Subject = "{{.name" }, "template: subject:1: unclosed action"},
		{"text", func(b *queue.Batch) { b.Text = "{{if}}" }, "template: text:1: missing value for if"},
		{"html", func(b *queue.Batch) { b.HTML = "{{nosuch .x}}" }, `template: html:1: function "nosuch" not defined`},
		{"two at once", func(b *queue.Batch) { b.Subject, b.Text = "{{", "{{" }, "template: text:1"},
		{"subject with line break", func(b *queue.Batch) { b.Subject = "a\nb" }, "the subject holds a tab, line break"},
		{"subject with tab", func(b *queue.Batch) { b.Subject = "a\tb" }, "the subject holds a tab, line break"},
		{"from", func(b *queue.Batch) { b.From = "x@y.test>\r\nBcc: z@y.test" }, "the from address"},
		{"from name", func(b *queue.Batch) { b.FromName = "x\r\ny" }, "the from name holds a line break"},
		{"reply-to", func(b *queue.Batch) { b.ReplyTo = "nobody" }, `the reply-to address "nobody" is no mail address`},
		{"return path", func(b *queue.Batch) { b.ReturnPath = "a@b.test> X=1" }, "the return path holds a space"},
		{"own header", func(b *queue.Batch) { b.Headers = []queue.Header{{Name: "Bcc", Value: "x@y.test"}} },
			"the header field Bcc is written by enotify"},
		{"own header's name", func(b *queue.Batch) { b.Headers = []queue.Header{{Name: "X:Y", Value: "x"}} },
			"is no name of a header field"},
		{"own header's value", func(b *queue.Batch) { b.Headers = []queue.Header{{Name: "X-Y", Value: "x\r\nBcc: y"}} },
			"the header field X-Y holds a line break"},
		{"own header's template", func(b *queue.Batch) { b.Headers = []queue.Header{{Name: "X-Y", Value: "{{.x"}} },
			"the header field X-Y cannot be read"},
		{"unsubscribe", func(b *queue.Batch) { b.ListUnsubscribe = "ftp://x.test/" }, "no https: or mailto: URI"},
		{"media type", func(b *queue.Batch) {
			b.Attachments = []queue.Attachment{{Filename: "x", ContentType: "text/plain;\r\n x=y"}}
		}, "is no media type"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := *testBatch
			test.edit(&b)
			err := compose.Check(&b)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q in it", err, test.want)
			}
			w, host := one(t, smtptest.Config{})
			if o := w.deliver(t, to(&b, 1, "user@a.test")); o.State != queue.Deferred || o.Class != queue.NotBegun ||
				!strings.Contains(o.Fault, test.want) || host.Connections() != 0 {
				t.Errorf("delivery: got %+v over %d connections, want the fault of the batch, at no cost to the recipient, over none", o, host.Connections())
			}
		})
	}
}

// A second copy must be recognisable as one.
func TestSameOnEveryTry(t *testing.T) {
	t.Parallel()
	b := *testBatch
	b.Subject = "{{.n}}"
	b.HTML = "<p>{{.n}}</p>"
	m := to(&b, 5, "user@a.test", `{"n":1}`)
	first := received(t, m)
	m.Attempt = 2
	copied := b // as another process reads it
	m.Batch = &copied
	second := received(t, m)
	if diff := cmp.Diff(string(first.Data), string(second.Data)); diff != "" {
		t.Errorf("second try (-first +second):\n%s", diff)
	}
}

func TestReturnPath(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ path, want string }{
		{"", "news@from.test"}, {"bounce@from.test", "bounce@from.test"}, {"<>", ""},
	} {
		b := *testBatch
		b.ReturnPath = test.path
		if got := received(t, to(&b, 1, "user@a.test")).From; got != test.want {
			t.Errorf("return path %q: got envelope sender %q, want %q", test.path, got, test.want)
		}
	}
}

// With signed return paths the envelope sender names the recipient, at the
// domain that the client, or else the operator, has for them.
func TestSignedReturnPath(t *testing.T) {
	t.Parallel()
	keys := token.Keys{{ID: "1", Secret: []byte(strings.Repeat("secret", 6))}}
	signed := "b-" + keys.Mint(token.Bounce, token.Subject{Batch: testBatch.ID, Seq: 7})
	for _, test := range []struct {
		bounces  queue.Bounces
		keys     token.Keys
		operator string
		want     string
	}{
		{queue.Bounces{}, keys, "mail.host.test", "bounce@from.test"},
		{queue.Bounces{Mode: queue.BounceOff}, keys, "mail.host.test", "bounce@from.test"},
		{queue.Bounces{Mode: queue.BounceOwn, Domain: "b.from.test"}, keys, "mail.host.test", signed + "@b.from.test"},
		{queue.Bounces{Mode: queue.BounceOperator}, keys, "mail.host.test", signed + "@mail.host.test"},
		{queue.Bounces{Mode: queue.BounceOperator}, keys, "", "bounce@from.test"}, // the node has none
		{queue.Bounces{Mode: queue.BounceOwn, Domain: "b.from.test"}, nil, "", "bounce@from.test"},
	} {
		w, host := one(t, smtptest.Config{})
		w.sender.Keys, w.sender.BounceDomain = test.keys, test.operator
		b := *testBatch
		b.ReturnPath, b.Bounces = "bounce@from.test", test.bounces
		for range 2 { // the same on every try
			if o := w.deliver(t, to(&b, 7, "user@a.test")); o.State != queue.Delivered {
				t.Fatalf("%+v: %+v", test.bounces, o)
			}
		}
		for _, m := range messages(t, host, 2) {
			if m.From != test.want {
				t.Errorf("%+v, operator %q: got envelope sender %q, want %q", test.bounces, test.operator, m.From,
					test.want)
			}
		}
	}
}

// What is the same for all recipients is rendered for the first of them: the
// batch is not looked at again. Attachments are, whatever has merge fields.
func TestRenderedOnce(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, subject, text, html string }{
		{"nothing merged", "News", "Hi", "<p>Hi</p>"},
		{"subject merged", "News for {{.name}}", "Hi", "<p>Hi</p>"},
		{"body merged", "News", "Hi {{.name}}", "<p>Hi {{.name}}</p>"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := *testBatch
			b.Subject, b.Text, b.HTML = test.subject, test.text, test.html
			b.Attachments = []queue.Attachment{{Filename: "plan.pdf", Content: []byte("%PDF of the first")}}
			w, host := one(t, smtptest.Config{})
			for range 2 {
				if o := w.deliver(t, to(&b, 1, "user@a.test", `{"name":"Ada"}`)); o.State != queue.Delivered {
					t.Fatalf("outcome: got %+v, want delivered", o)
				}
				copy(b.Attachments[0].Content, "%XYZ")
				b.Text, b.HTML = "other", "<p>other</p>"
			}
			sent := messages(t, host, 2)
			first, second := sent[0].Data, sent[1].Data
			if diff := cmp.Diff(string(first), string(second)); diff != "" {
				t.Errorf("the second message (-first +second):\n%s", diff)
			}
		})
	}
}
