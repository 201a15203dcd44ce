package compose_test

import (
	"bytes"
	"mime"
	"strings"
	"testing"

	"enotify/queue"
	"enotify/sender/compose"
)

// A subject comes through as it was, in lines that fit (RFC 5322 §2.1.1, RFC
// 2047 §2), and without encoding where that is not needed.
func TestSubjects(t *testing.T) {
	t.Parallel()
	for _, subject := range []string{
		"News", strings.TrimSpace(strings.Repeat("words of a subject ", 40)), "Größe",
		strings.TrimSpace(strings.Repeat("Größe und Länge ", 40)), strings.Repeat("名", 300), strings.Repeat("x", 899),
		"two  spaces", " leading", "trailing ", "=?utf-8?q?x?=", "😀👨‍👩‍👧 family", "a, b; c: <d> \"e\" (f)",
		strings.Repeat("e", 70) + " " + strings.Repeat("f", 200), "Re: [list] ü", "100 % günstiger?_=",
	} {
		for _, merged := range []bool{false, true} {
			b := *testBatch
			b.Subject = subject
			data := ""
			if merged {
				b.Subject, data = "{{.s}}", `{"s":"`+strings.ReplaceAll(subject, `"`, `\"`)+`"}`
			}
			message := written(t, &b, data)
			header, _ := leaves(t, message)
			got, err := new(mime.WordDecoder).DecodeHeader(header.Get("Subject"))
			// net/mail trims what stands between the colon and the text.
			if err != nil || got != subject && strings.TrimSpace(got) != subject {
				t.Errorf("%q: got %q, %v", subject, got, err)
			}
			for line := range bytes.SplitSeq(message, []byte("\r\n")) {
				if name, text, _ := bytes.Cut(line, []byte(": ")); len(line) > 78 &&
					(string(name) != "Subject" || bytes.ContainsRune(text, ' ')) && bytes.ContainsRune(line[1:], ' ') {
					t.Errorf("%.60q: a line of %d octets that could be folded: %.100s", subject, len(line), line)
				}
			}
			if strings.Contains(header.Get("Subject"), "=?") && subject == "News" {
				t.Errorf("%q: encoded without need", subject)
			}
		}
	}
}

func TestSubjectLimit(t *testing.T) {
	t.Parallel()
	b := *testBatch
	b.Subject = strings.Repeat("ä", 901)
	if err := compose.Check(&b); err == nil || !strings.Contains(err.Error(), "901 characters, where 900 are allowed") {
		t.Errorf("got %v, want the limit", err)
	}
	b.Subject = strings.Repeat("ä", 900)
	if err := compose.Check(&b); err != nil {
		t.Errorf("at the limit: %v", err)
	}
}

func TestFieldNames(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"X-Campaign", "References", "In-Reply-To", "Importance", "List-Id", "List-Help",
		"Organization", "X"} {
		if err := compose.CheckFieldName(name); err != nil {
			t.Errorf("%s: got %v, want it allowed", name, err)
		}
	}
	for _, name := range []string{
		"", "Bcc", "FROM", "To", "Subject", "date", "Message-ID", "List-Unsubscribe", "List-Unsubscribe-Post",
		"DKIM-Signature", "Content-Type", "content-x", "Resent-To",
		"ARC-Seal", "Received", "Return-Path", "X Y", "X:Y", "X\nY", "Ä", ".x", "-x", "1x", "x_y",
		strings.Repeat("x", 61), "Feedback-ID", "CFBL-Address", "Precedence",
	} {
		if err := compose.CheckFieldName(name); err == nil {
			t.Errorf("%q: got no error, want it refused", name)
		}
	}
}

// The fields that say that nobody should answer, and those of the application,
// are there as they were given.
func TestOwnFields(t *testing.T) {
	t.Parallel()
	b := *testBatch
	b.AutoSubmitted, b.Precedence = "auto-generated", "bulk"
	b.Headers = []queue.Header{{Name: "X-Id", Value: "{{.id}}"}, {Name: "X-Umlaut", Value: "Größe"},
		{Name: "X-Id", Value: "2"}}
	header, _ := leaves(t, written(t, &b, `{"id":42}`))
	for name, want := range map[string]string{"Auto-Submitted": "auto-generated", "Precedence": "bulk",
		"X-Umlaut": "Größe", "X-Id": "2 42", "List-Id": "<notify.from.test>"} {
		got, _ := new(mime.WordDecoder).DecodeHeader(strings.Join(header[name], " "))
		if name == "X-Id" {
			got = strings.Join(header["X-Id"], " ")
		}
		if got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	b.AutoSubmitted, b.Precedence = "", ""
	header, _ = leaves(t, written(t, &b, `{"id":42}`))
	if header.Get("Auto-Submitted") != "" || header.Get("Precedence") != "" {
		t.Errorf("neither chosen: got %v", header)
	}
}
