package main_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jhillyerd/enmime/v2"

	"enotify/sender/smtptest"
)

// sentTo is what arrived for an address, read by a parser that is not ours.
func sentTo(t *testing.T, s *site, address string) *enmime.Envelope {
	t.Helper()
	for _, m := range s.SMTP.Messages() {
		if m.To[0] != address {
			continue
		}
		e, err := enmime.ReadEnvelope(bytes.NewReader(m.Data))
		if err != nil {
			t.Fatalf("%s: %v", address, err)
		}
		for _, problem := range e.Errors {
			t.Errorf("%s: %v", address, problem)
		}
		return e
	}
	t.Fatalf("%s got nothing", address)
	return nil
}

// What a client writes arrives as it was written, from the CSV file or the SQL
// of an application to the receiver.
func TestWhatAClientWritesArrives(t *testing.T) {
	t.Parallel()
	s := newSite(t, smtptest.Config{})
	name := "Gemeindebrief März – 名.pdf"
	long := strings.Repeat("ä", 180) + ".pdf"
	dots := ".\r\nQUIT\r\n..\n" + strings.Repeat("x", 5000) + "\rend"
	batch := ask[int64](s, `SELECT enotify.create_batch('all', 'info@town.example', 'Nr. {{printf "%05d" .n}} für {{.name}}', $1,
		'<!--[if mso]><table><tr><td>{{.name}}</td></tr></table><![endif]--><p>{{.name}}</p><a href="{{.t}}">call</a><img src="{{.c}}">{{if eq .one 1}}one{{end}}',
		headers => '{"X-Ward": "{{.ward}}"}')`, dots+"{{if gt .n 5}} many{{end}} {{printf \"%.2f\" .f}}")
	s.Exec(`SELECT enotify.add_attachment($1, $2, 'one'), enotify.add_attachment($1, $3, 'two'), enotify.add_attachment($1, 'logo.png', 'three', 'image/png', 'logo')`, batch, name, long)
	s.Exec(`SELECT enotify.add_recipients($1, ARRAY[E'\u200bada@one.test', E'ju\u0308rgen@one.test'],
		ARRAY['{"n":42,"one":1,"f":1.5,"name":"A & B","t":"tel:+123","c":"cid:logo","ward":"Süd"}', '{"n":7,"one":2,"f":2,"name":"C","t":"javascript:x","c":"cid:logo","ward":"Nord"}']::jsonb[])`, batch)
	s.Exec(`SELECT enotify.submit_batch($1)`, batch)
	s.Run("run", "--until-idle")

	e := sentTo(t, s, "ada@one.test")
	if got, want := e.GetHeader("Subject"), "Nr. 00042 für A & B"; got != want {
		t.Errorf("subject: got %q, want %q", got, want)
	}
	if got, want := e.GetHeader("X-Ward"), "Süd"; got != want {
		t.Errorf("own field: got %q, want %q", got, want)
	}
	if got, want := strings.ReplaceAll(e.Text, "\r\n", "\n"), strings.NewReplacer("\r\n", "\n", "\r",
		"\n").Replace(dots)+" many 1.50"; strings.TrimSuffix(got, "\n") != want {
		t.Errorf("text: got %.200q, want %.200q", got, want)
	}
	if want := `<!--[if mso]><table><tr><td>A &amp; B</td></tr></table><![endif]--><p>A &amp; B</p><a href="tel:&#43;123">call</a><img src="cid:logo">one`; strings.ReplaceAll(e.HTML, "+", "&#43;") != want {
		t.Errorf("HTML: got %s, want %s", e.HTML, want)
	}
	var files []string
	for _, p := range append(e.Attachments, e.Inlines...) {
		files = append(files, p.FileName+" "+string(p.Content)+p.ContentID)
	}
	if got, want := strings.Join(files, "|"), name+" one|"+long+" two|logo.png threelogo"; got != want {
		t.Errorf("files: got %s, want %s", got, want)
	}
	if got := ask[string](s, `SELECT concat(state, ' ', reply) FROM enotify.delivery WHERE batch_id = $1 AND address LIKE 'j%'`, batch); !strings.HasPrefix(got, "invalid the html cannot be filled: a value of the recipient's data is not safe in its place") {
		t.Errorf("the recipient with a javascript: link: got %q, want it ended before it was sent", got)
	}
}

// A batch that nobody can compose costs nobody: it waits, blocked, with what is
// wrong, while others go on; once it is mended, all of it arrives.
func TestAnUnreadableTemplateCostsNobody(t *testing.T) {
	t.Parallel()
	s := newSite(t, smtptest.Config{})
	broken := ask[int64](s, `SELECT enotify.enqueue('k', 'info@town.example', 'S', 'Hi {{name}}', ARRAY['a@one.test','b@two.test'], ARRAY['{"name":"x"}','{"name":"y"}']::jsonb[])`)
	other := s.Enqueue("other", "Soup.", 2, 1)
	s.Run("run", "--until-idle")
	if got := ask[string](s, `SELECT concat(state, ' ', reason) FROM enotify.batch_status WHERE id = $1`,
		broken); !strings.HasPrefix(got, "blocked the text cannot be read") || !strings.Contains(got, "{{.name}}") {
		t.Errorf("the broken one: got %q, want it blocked, and how to write it", got)
	}
	if got, want := s.States(other), "delivered 2"; got != want {
		t.Errorf("the other: got %s, want %s", got, want)
	}
	file := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(file, []byte("Hi {{.name}}"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.Run("batch", "edit", fmt.Sprint(broken), "--text", file)
	s.Run("run", "--until-idle")
	if got, want := s.States(broken), "delivered 2"; got != want {
		t.Errorf("mended: got %s, want %s", got, want)
	}
	if got := strings.TrimSpace(sentTo(t, s, "b@two.test").Text); got != "Hi y" {
		t.Errorf("text: got %q, want Hi y", got)
	}
	s.Run("batch", "audit")
}

// A field that is spelled wrong ends a few recipients, not the campaign: the
// batch is blocked, and once it is mended they get their message too.
func TestAMisspelledFieldBlocksTheBatch(t *testing.T) {
	t.Parallel()
	s := newSite(t, smtptest.Config{})
	batch := ask[int64](s, `SELECT enotify.enqueue('k', 'info@town.example', 'S', 'Hi {{.naem}}',
		ARRAY(SELECT format('u%s@one.test', i) FROM generate_series(1, 100) i), ARRAY(SELECT '{"name":"x"}'::jsonb FROM generate_series(1, 100)))`)
	s.Run("run", "--until-idle")
	if got := ask[string](s, `SELECT concat(state, ' ', reason) FROM enotify.batch_status WHERE id = $1`,
		batch); !strings.HasPrefix(got, "blocked none of the first 10 recipients could get a message") {
		t.Errorf("got %q, want it blocked for the field", got)
	}
	if n := ask[int](s, `SELECT invalid FROM enotify.batch_status WHERE id = $1`, batch); n > 9 {
		t.Errorf("recipients that ended: got %d of 100, want at most 9", n)
	}
	s.Exec(`SELECT enotify.replace_content($1, body_text => 'Hi {{.name}}')`, batch)
	s.Run("batch", "requeue", fmt.Sprint(batch), "--class", "content", "--yes")
	s.Run("run", "--until-idle")
	if got, want := s.States(batch), "delivered 100"; got != want {
		t.Errorf("mended: got %s, want %s", got, want)
	}
	s.Run("batch", "audit")
}

// A body file is text in UTF-8, with or without a byte order mark; another one
// is refused with what it is.
func TestBodyFiles(t *testing.T) {
	t.Parallel()
	s := newSite(t, smtptest.Config{})
	for _, test := range []struct{ content, want string }{
		{"\xef\xbb\xbfGrüße", ""},
		{"\xff\xfeG\x00r\x00", "is in UTF-16; save it as UTF-8"},
		{"\xfe\xff\x00G\x00r", "is in UTF-16; save it as UTF-8"},
		{"Gr\xfc\xdfe", "is not in UTF-8"},
		{"a\x00b", "holds a NUL; it is no text file"},
		{" \r\n", "is empty"},
	} {
		for _, flag := range []string{"--text", "--html"} {
			file := filepath.Join(t.TempDir(), "body")
			if err := os.WriteFile(file, []byte(test.content), 0o600); err != nil {
				t.Fatal(err)
			}
			out, err := s.Enotify("batch", "create", "--from", "info@town.example", "--subject", "S", flag,
				file).CombinedOutput()
			if test.want == "" && err != nil || test.want != "" &&
				(err == nil || !strings.Contains(string(out), test.want)) {
				t.Errorf("%s %q: got %v, %s; want %q", flag, test.content, err, out, test.want)
			}
		}
	}
	if got := ask[string](s, `SELECT string_agg(DISTINCT concat(body_text, body_html), '|') FROM enotify.batch`); got != "Grüße" {
		t.Errorf("bodies: got %q, want Grüße without a mark", got)
	}
}
