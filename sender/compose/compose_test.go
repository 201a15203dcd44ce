package compose_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"strings"
	"testing"
	"time"

	"enotify/queue"
	"enotify/sender/compose"

	"github.com/google/go-cmp/cmp"
)

var testBatch = &queue.Batch{
	ID: 7, Client: "from.test", From: "news@from.test", Subject: "Hello", Text: "Text.\n",
	CreatedAt: time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC),
}

// to is a message of batch b.
func to(b *queue.Batch, seq int, address string, data ...string) queue.Message {
	m := queue.Message{Batch: b, Seq: int32(seq), Address: address,
		Domain: address[strings.LastIndexByte(address, '@')+1:], Attempt: 1}
	if len(data) > 0 {
		m.Data = json.RawMessage(data[0])
	}
	return m
}

// written composes the message of b for one recipient, and looks at what any
// message must have: lines that fit, and on the wire no line that a host takes
// for the end.
func written(t testing.TB, b *queue.Batch, data string) []byte {
	t.Helper()
	l, err := compose.New(b)
	if err != nil {
		t.Fatal(err)
	}
	m, err := l.Compose(to(b, 1, "user@a.test", data), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Release()
	whole := m.Bytes()
	if m.Size() != len(whole) {
		t.Errorf("Size: got %d, want %d", m.Size(), len(whole))
	}
	var wire bytes.Buffer
	for _, segment := range m.AppendWire(nil) {
		wire.Write(segment)
	}
	stuffed := append(bytes.ReplaceAll(whole, []byte("\r\n."), []byte("\r\n..")), ".\r\n"...)
	if diff := cmp.Diff(string(stuffed), wire.String()); diff != "" {
		t.Errorf("on the wire (-want +got):\n%s", diff)
	}
	for line := range bytes.SplitSeq(whole, []byte("\r\n")) {
		if len(line) > 998 || bytes.ContainsAny(line, "\r\n\x00") {
			t.Errorf("a line of %d octets, or with a bare end: %.60q", len(line), line)
		}
	}
	if !bytes.HasSuffix(whole, []byte("\r\n")) {
		t.Error("the message does not end in CRLF")
	}
	return whole
}

// A leaf is a part of a message without parts.
type leaf struct {
	path    string // the types around it
	header  map[string][]string
	content string
}

func leaves(t testing.TB, message []byte) (mail.Header, []leaf) {
	t.Helper()
	m, err := mail.ReadMessage(bytes.NewReader(message))
	if err != nil {
		t.Fatalf("%v\n%s", err, message)
	}
	return m.Header, leavesOf(t, "", map[string][]string(m.Header), m.Body)
}

func leavesOf(t testing.TB, path string, header map[string][]string, body io.Reader) []leaf {
	t.Helper()
	get := func(name string) string {
		if v := header[name]; len(v) > 0 {
			return v[0]
		}
		return ""
	}
	mediaType, params, err := mime.ParseMediaType(get("Content-Type"))
	if err != nil {
		t.Fatalf("%s: %v", get("Content-Type"), err)
	}
	path += "/" + mediaType
	if strings.HasPrefix(mediaType, "multipart/") {
		var all []leaf
		r := multipart.NewReader(body, params["boundary"])
		for {
			p, err := r.NextRawPart()
			if err == io.EOF {
				return all
			}
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, leavesOf(t, path, map[string][]string(p.Header), p)...)
		}
	}
	switch get("Content-Transfer-Encoding") {
	case "quoted-printable":
		body = quotedprintable.NewReader(body)
	case "base64":
		body = base64.NewDecoder(base64.StdEncoding, body)
	}
	content, err := io.ReadAll(body)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return []leaf{{path, header, string(content)}}
}

// Whatever a body holds, and wherever its holes are, a reader gets what the
// client wrote, with the recipient's values in it.
func TestBodies(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	bits := []string{"a", "word ", "ä", "名", " ", "\n", "\r\n", ".", "=", "From ", "\n.\n", "--=_", "{{.v}}", "{{.w}}",
		"{{if .v}}x{{.w}}{{end}}", "\t", strings.Repeat("long", 60), strings.Repeat("ü", 200), "😀", "\u00a0"}
	values := []string{"", "x", ".", "..", "\n.\n", "ä", "From me", "=", strings.Repeat("v", 1200), "a\r\nb", " ", "\n",
		"😀😀", "--=_x"}
	for i := range 3000 {
		var text strings.Builder
		for range 1 + random.IntN(12) {
			text.WriteString(bits[random.IntN(len(bits))])
		}
		v, w := values[random.IntN(len(values))], values[random.IntN(len(values))]
		data, _ := json.Marshal(map[string]string{"v": v, "w": w})
		want := strings.NewReplacer("{{if .v}}", "\x00", "{{end}}", "\x01", "{{.v}}", v, "{{.w}}",
			w).Replace(text.String())
		for strings.Contains(want, "\x00") { // the condition
			before, rest, _ := strings.Cut(want, "\x00")
			inner, after, _ := strings.Cut(rest, "\x01")
			if v == "" {
				inner = ""
			}
			want = before + inner + after
		}
		b := *testBatch
		b.Text = text.String()
		if b.Text == "" {
			continue
		}
		message := written(t, &b, string(data))
		_, got := leaves(t, message)
		if got[0].header["Content-Transfer-Encoding"][0] == "quoted-printable" {
			_, body, _ := bytes.Cut(message, []byte("\r\n\r\n"))
			for line := range bytes.SplitSeq(body, []byte("\r\n")) {
				if len(line) > 76 { // RFC 2045 §6.7
					t.Fatalf("%d: %q with %s: a line of %d octets", i, text.String(), data, len(line))
				}
			}
		}
		unix := strings.NewReplacer("\r\n", "\n", "\r", "\n")
		if diff := cmp.Diff(strings.TrimSuffix(unix.Replace(want), "\n"),
			strings.TrimSuffix(unix.Replace(got[0].content), "\n")); diff != "" {
			t.Fatalf("%d: %q with %s (-want +got):\n%s", i, text.String(), data, diff)
		}
	}
}

// What is the same for all recipients lies in memory once: the segments of
// their messages are the same, however many there are.
func TestShared(t *testing.T) {
	t.Parallel()
	b := *testBatch
	b.Text = "Dear {{.name}},\n" + strings.Repeat("A line of a newsletter.\n", 400)
	b.Attachments = []queue.Attachment{{Filename: "plan.pdf", Content: make([]byte, 1<<20)}}
	l, err := compose.New(&b)
	if err != nil {
		t.Fatal(err)
	}
	segments := map[*byte]int{}
	own, shared := 0, 0
	for i := range 100 {
		m, err := l.Compose(to(&b, i+1, "u@a.test", fmt.Sprintf(`{"name":"N%d"}`, i)), nil)
		if err != nil {
			t.Fatal(err)
		}
		own = max(own, m.Own())
		wire := m.AppendWire(nil)
		for _, s := range wire {
			segments[&s[0]] = len(s)
		}
		shared = m.Size()
	}
	total := 0
	for _, n := range segments {
		total += n
	}
	if own > 64<<10 {
		t.Errorf("a message takes %d octets of its own, want at most 64 KB", own)
	}
	if limit := shared + 100*4<<10; total > limit {
		t.Errorf("100 messages lie in %d octets, want at most %d", total, limit)
	}
}
