package queue_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"enotify/queue"
	"enotify/queue/queuetest"
)

// What a batch cannot have is refused in words by the first step that can see it: the
// function, and the table's constraint behind it.
func TestLimitsOfContent(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	create := func(rest string) string {
		return `SELECT enotify.create_batch('k', 'info@town.example', ` + rest + `)`
	}
	for sql, want := range map[string]string{
		create(`E'Agenda\tMay'`): "the subject holds a tab, line break or other control character",
		create(`'s', repeat('x', 2097153))`)[:len(create(`'s', repeat('x', 2097153)`))]:                   "the text has 2048 KiB, where 2048 are allowed",
		create(`'s', body_html => repeat('ä', 2000000)`):                                                  "the HTML has 3906 KiB, where 2048 are allowed",
		create(`'s', headers => '[]'`):                                                                    "headers is not a JSON object",
		create(`'s', headers => '{"Bcc": "x@y.example"}'`):                                                "the header field Bcc is written by enotify",
		create(`'s', headers => '{"DKIM-Signature": "x"}'`):                                               "the header field DKIM-Signature is written by enotify",
		create(`'s', headers => '{"X:Y": "x"}'`):                                                          "is no name of a header field",
		create(`'s', headers => '{"X-Y": 1}'`):                                                            "the value of the header field X-Y is not a string",
		create(`'s', headers => '{"X-Y": "a\nBcc: b"}'`):                                                  "the header field X-Y holds a line break",
		create(`'s', headers => '{"X-Y": ["a", "b\u007f"]}'`):                                             "the header field X-Y holds a line break",
		create(`'s', headers => '{"X-Y": " "}'`):                                                          "the header field X-Y is empty",
		create(`'s', headers => jsonb_build_object('X-Y', repeat('x', 901))`):                             "the header field X-Y has 901 characters, where 900 are allowed",
		create(`'s', headers => (SELECT jsonb_object_agg('X-' || i, 'x') FROM generate_series(1, 21) i)`): "headers has 21 fields, where 20 are allowed",
	} {
		refused(f, sql, want)
	}
	batch := queuetest.Query[int64](f, create(`'s', 't'`))
	attach := func(rest string) string { return `SELECT enotify.add_attachment($1, ` + rest + `)` }
	for sql, want := range map[string]string{
		attach(`repeat('ä', 201), 'x'`):                          "has 201 characters, where 1 to 200 are allowed",
		attach(`E'a\tb', 'x'`):                                   "holds a quote, slash, backslash or control character",
		attach(`'a', 'x', 'text/plain; x'`):                      "is no media type",
		attach(`'a', 'x', E'text/plain; x=\r\ny'`):               "is no media type",
		attach(`'a', 'x', 'image/png', 'a b'`):                   "holds a space, quote or angle bracket",
		attach(`'a', 'x', 'image/png', 'a>'`):                    "holds a space, quote or angle bracket",
		attach(`'a', convert_to(repeat('x', 26214401), 'UTF8')`): "where 25 are allowed",
	} {
		refused(f, sql, want, batch)
	}
	f.Exec(attach(`repeat('ä', 180) || '.pdf', 'x', 'text/calendar; method=REQUEST; name="a b"', 'logo@town.example'`),
		batch)
	for range 19 {
		f.Exec(attach(`'a', 'x'`), batch)
	}
	refused(f, attach(`'a', 'x'`), "has 20 attachments already", batch)
	refused(f, `SELECT enotify.add_recipients($1, '{a@b.example}', ARRAY[jsonb_build_object('x', repeat('x', 70000))])`,
		"the data of recipient 'a@b.example' has 70", batch)
	f.Exec(`SELECT enotify.add_recipients($1, '{a@b.example}', ARRAY[jsonb_build_object('x', repeat('x', 60000))])`,
		batch)
}

func TestContentIsReadAsWritten(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	f.Exec(`UPDATE enotify.client SET precedence = 'list', auto_submitted = '' WHERE domain = 'town.example'`)
	batch := queuetest.Query[int64](f, `SELECT enotify.create_batch('k', 'info@town.example', 's', 't', headers => '{"X-B": ["2", "1"], "X-A": "{{.a}}"}')`)
	f.Exec(`SELECT enotify.add_attachment($1, 'logo.png', 'x', 'image/png', 'logo')`, batch)
	got, err := f.DB.Content(t.Context(), batch)
	if err != nil {
		t.Fatal(err)
	}
	want := []queue.Header{{Name: "X-A", Value: "{{.a}}"}, {Name: "X-B", Value: "2"}, {Name: "X-B", Value: "1"}}
	if diff := cmp.Diff(want, got.Headers); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
	if got.Precedence != "list" || got.AutoSubmitted != "" || got.Attachments[0].ContentID != "logo" ||
		!got.StartedAt.IsZero() {
		t.Errorf("got %+v, want precedence list, no auto-submitted, content id logo, not started", got)
	}
}

// Content is replaced of what has not begun; what is being sent must be stopped
// first, and what is over stays as it was.
func TestReplaceContent(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	batch := queuetest.Query[int64](f, `SELECT enotify.enqueue('k', 'info@town.example', 's', 't', '{a@b.example}')`)
	say := func(s string) *string { return &s }
	edit := func(e queue.ContentEdit, want string) {
		t.Helper()
		err := f.DB.ReplaceContent(t.Context(), batch, e)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%+v: got %v, want %q", e, err, want)
		}
	}
	content := func() string {
		return queuetest.Query[string](f,
			`SELECT format('%s|%s|%s|%s|%s|%s|%s', subject, body_text, body_html, state, reason, fault, edits) FROM enotify.batch WHERE id = $1`, batch)
	}
	f.Exec(`UPDATE enotify.batch SET surveyed_at = now() WHERE id = $1`, batch)
	edit(queue.ContentEdit{Subject: say("other")}, "")
	if got := content(); got != "other|t||queued|||1" {
		t.Errorf("got %s, want the subject replaced", got)
	}
	if !queuetest.Query[bool](f, `SELECT surveyed_at IS NULL FROM enotify.batch WHERE id = $1`, batch) {
		t.Error("the batch is not looked at again before it takes the turn")
	}
	edit(queue.ContentEdit{Text: say("")}, "neither a text nor an HTML body")
	edit(queue.ContentEdit{Subject: say("a\tb")}, "control character")
	edit(queue.ContentEdit{Filenames: []string{"a.pdf"}}, "1 file names for 0 attachments")
	f.Exec(`UPDATE enotify.batch SET state = 'blocked', reason = 'the text cannot be read', fault = 'the text cannot be read' WHERE id = $1`, batch)
	edit(queue.ContentEdit{Text: say(""), HTML: say("<p>x</p>")}, "")
	if got := content(); got != "other||<p>x</p>|queued|||2" {
		t.Errorf("got %s, want the bodies replaced and the batch back in the queue", got)
	}
	f.Exec(`UPDATE enotify.batch SET state = 'blocked', reason = 'SPF' WHERE id = $1`, batch)
	edit(queue.ContentEdit{Subject: say("third")}, "")
	if got := content(); got != "third||<p>x</p>|blocked|SPF||3" {
		t.Errorf("got %s, want it blocked for SPF still", got)
	}
	f.Exec(`UPDATE enotify.batch SET state = 'queued' WHERE id = $1`, batch)
	f.Exec(`UPDATE enotify.batch SET state = 'sending' WHERE id = $1`, batch)
	edit(queue.ContentEdit{Subject: say("x")}, "pause it first: enotify batch pause")
	f.Exec(`SELECT enotify.cancel_batch($1)`, batch)
	edit(queue.ContentEdit{Subject: say("x")}, "is cancelled; its content stays as it is; send a new batch")
	if err := f.DB.ReplaceContent(t.Context(), 99, queue.ContentEdit{}); !errors.Is(err, queue.ErrNotFound) {
		t.Errorf("a batch that is none: got %v, want ErrNotFound", err)
	}
}

// A batch blocked for its content stays so when the guard lets its client go
// on; to resume it has it looked at again.
func TestGuardLeavesFaults(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	batch := queuetest.Query[int64](f, `SELECT enotify.enqueue('k', 'info@town.example', 's', 't', '{a@b.example}')`)
	f.Exec(`UPDATE enotify.batch SET state = 'blocked', reason = 'f', fault = 'f', surveyed_at = now() WHERE id = $1`,
		batch)
	f.Judge(t.Context(), "pass")
	if got := queuetest.Query[string](f, `SELECT state || ' ' || fault FROM enotify.batch WHERE id = $1`,
		batch); got != "blocked f" {
		t.Errorf("after the guard: got %s, want blocked f", got)
	}
	f.Exec(`SELECT enotify.resume_batch($1)`, batch)
	if got := queuetest.Query[string](f,
		`SELECT concat(state, ' ', fault, surveyed_at) FROM enotify.batch WHERE id = $1`, batch); got != "queued " {
		t.Errorf("resumed: got %q, want queued, to be looked at again", got)
	}
}
