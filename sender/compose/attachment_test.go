package compose_test

import (
	"bytes"
	"mime"
	"strings"
	"testing"

	"enotify/queue"
	"enotify/sender/compose"

	"github.com/google/go-cmp/cmp"
)

// An attachment's name is what it was, however long and in whatever script, and
// no line of it is long.
func TestAttachmentNames(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"plan.pdf", "plan 2026.pdf", "Gemeindebrief März – 名.pdf", strings.Repeat("ä", 180) + ".pdf",
		strings.Repeat("a", 184) + ".pdf",
		strings.Repeat("名", 196) + ".pdf", "50% off's (new) [1]; a=b, *.pdf", "Приложение №1.docx", "😀.png",
		"a'b%20c.txt", "no extension", "résumé\u00a0.odt", "=?utf-8?q?x?=.txt",
	} {
		b := *testBatch
		b.Attachments = []queue.Attachment{{Filename: name, Content: []byte("x")}}
		message := written(t, &b, "")
		_, all := leaves(t, message)
		disposition := all[1].header["Content-Disposition"][0]
		kind, params, err := mime.ParseMediaType(disposition)
		if err != nil || kind != "attachment" || params["filename"] != name {
			t.Errorf("%q: got %q, %q, %v from %s", name, kind, params["filename"], err, disposition)
		}
		if strings.Contains(disposition, "=?") && !strings.Contains(name, "=?") {
			t.Errorf("%q: an encoded-word in a parameter: %s", name, disposition)
		}
		for line := range bytes.SplitSeq(message, []byte("\r\n")) {
			if len(line) > 78 && bytes.ContainsRune(bytes.TrimPrefix(line, []byte("Content-Type: ")), ' ') {
				t.Errorf("%q: a line of %d octets: %s", name, len(line), line)
			}
		}
	}
}

// A name that cannot be written, and a type that is none, are the batch's fault.
func TestUnfitAttachments(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		file queue.Attachment
		want string
	}{
		{queue.Attachment{Filename: ""}, "has no file name"},
		{queue.Attachment{Filename: "a\tb.pdf"}, "control character"},
		{queue.Attachment{Filename: "a\r\nb.pdf"}, "control character"},
		{queue.Attachment{Filename: strings.Repeat("ä", 201)}, "201 characters, where 200 are allowed"},
		{queue.Attachment{Filename: "a.pdf", ContentType: "pdf\r\nX: y"}, "is no media type"},
		{queue.Attachment{Filename: "a.pdf", ContentType: "multipart/mixed"}, "is no type of a file"},
		{queue.Attachment{Filename: "a.png", ContentID: "a b"}, "is no content id"},
	} {
		b := *testBatch
		b.Attachments = []queue.Attachment{test.file}
		if err := compose.Check(&b); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%+v: got %v, want %q in it", test.file, err, test.want)
		}
	}
}

func TestAttachmentKinds(t *testing.T) {
	t.Parallel()
	mail := "From: a@b.test\nSubject: x\n\n.dots\n..\nline\n"
	calendar := "BEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\nBEGIN:VEVENT\r\nSUMMARY:Größe\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
	type part struct{ Path, Type, Encoding, Disposition, ID string }
	for _, test := range []struct {
		name  string
		html  string
		files []queue.Attachment
		want  []part // after the texts
	}{
		{"inline by content id", `<img src="cid:logo">`,
			[]queue.Attachment{{Filename: "logo.png", ContentID: "logo", Content: []byte("x")}},
			[]part{{"/multipart/alternative/multipart/related/image/png", "image/png", "base64",
				`inline; filename="logo.png"`, "<logo>"}}},
		{"inline by file name", `<img src="cid:logo.png"> {{.n}}`,
			[]queue.Attachment{{Filename: "logo.png", Content: []byte("x")}},
			[]part{{"/multipart/alternative/multipart/related/image/png", "image/png", "base64",
				`inline; filename="logo.png"`, "<logo.png>"}}},
		{"not shown", `<img src="cid:logo.png2">`, []queue.Attachment{{Filename: "logo.png", Content: []byte("x")}},
			[]part{{"/multipart/mixed/image/png", "image/png", "base64", `attachment; filename="logo.png"`, ""}}},
		{"a mail", "", []queue.Attachment{{Filename: "a.eml", Content: []byte(mail)}},
			[]part{{"/multipart/mixed/message/rfc822", "message/rfc822", "", `attachment; filename="a.eml"`, ""}}},
		{"a mail in 8 bit", "", []queue.Attachment{{Filename: "a.eml", ContentType: "message/rfc822",
			Content: []byte(mail + "ä\n")}},
			[]part{{"/multipart/mixed/message/rfc822", "message/rfc822", "8bit", `attachment; filename="a.eml"`, ""}}},
		{"a mail that must be encoded", "",
			[]queue.Attachment{{Filename: "a.eml", Content: []byte(mail + strings.Repeat("x", 1000))}},
			[]part{{"/multipart/mixed/application/octet-stream", "application/octet-stream", "base64",
				`attachment; filename="a.eml"`, ""}}},
		{"an invitation", "", []queue.Attachment{{Filename: "meeting.ics", Content: []byte(calendar)}},
			[]part{{"/multipart/alternative/text/calendar",
				`text/calendar; charset="UTF-8"; method="REQUEST"; name="meeting.ics"`, "base64", "", ""}}},
		{"an invitation by type", "", []queue.Attachment{{Filename: "meeting.ics",
			ContentType: "text/calendar; method=REQUEST", Content: []byte("BEGIN:VCALENDAR\r\n")}},
			[]part{{"/multipart/alternative/text/calendar",
				`text/calendar; charset="UTF-8"; method="REQUEST"; name="meeting.ics"`, "base64", "", ""}}},
		{"a calendar", "", []queue.Attachment{{Filename: "meeting.ics", ContentType: "text/calendar; method=PUBLISH",
			Content: []byte("BEGIN:VCALENDAR\r\n")}},
			[]part{{"/multipart/mixed/text/calendar", `text/calendar; charset="UTF-8"; method="PUBLISH"`, "base64",
				`attachment; filename="meeting.ics"`, ""}}},
		{"a text", "", []queue.Attachment{{Filename: "a.csv", Content: []byte("ä;b")}},
			[]part{{"/multipart/mixed/text/csv", `text/csv; charset="UTF-8"`, "base64", `attachment; filename="a.csv"`,
				""}}},
		{"a text in Latin-1", "", []queue.Attachment{{Filename: "a.csv", Content: []byte("\xe4;b")}},
			[]part{{"/multipart/mixed/text/csv", `text/csv`, "base64", `attachment; filename="a.csv"`, ""}}},
		{"unknown", "", []queue.Attachment{{Filename: "a.xyz", Content: []byte{0}}},
			[]part{{"/multipart/mixed/application/octet-stream", "application/octet-stream", "base64",
				`attachment; filename="a.xyz"`, ""}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := *testBatch
			b.HTML, b.Attachments = test.html, test.files
			_, all := leaves(t, written(t, &b, `{"n":"Ada"}`))
			var got []part
			for i, l := range all {
				if strings.HasSuffix(l.path, "/text/plain") || strings.HasSuffix(l.path, "/text/html") {
					continue
				}
				get := func(name string) string {
					if v := l.header[name]; len(v) > 0 {
						return v[0]
					}
					return ""
				}
				got = append(got, part{l.path, get("Content-Type"), get("Content-Transfer-Encoding"),
					get("Content-Disposition"), get("Content-Id")})
				content := string(test.files[0].Content)
				if strings.HasSuffix(l.path, "rfc822") {
					content = strings.ReplaceAll(content, "\n", "\r\n")
				}
				if l.content != content {
					t.Errorf("content of part %d: got %q, want %q", i, l.content, content)
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("parts (-want +got):\n%s", diff)
			}
		})
	}
}

// A multipart says that it holds octets above 127 where a part of it does.
func TestEightBit(t *testing.T) {
	t.Parallel()
	b := *testBatch
	b.Attachments = []queue.Attachment{{Filename: "a.eml", Content: []byte("Subject: x\n\nGröße\n")}}
	header, _ := leaves(t, written(t, &b, ""))
	if got := header.Get("Content-Transfer-Encoding"); got != "8bit" {
		t.Errorf("encoding of the message: got %q, want 8bit", got)
	}
}
