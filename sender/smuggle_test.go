package sender_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"sync"
	"testing"

	"enotify/queue"
	"enotify/sender/smtptest"
)

// smuggles are texts that some mail host or other takes for the end of the
// message, or of a header, when they reach it as they are.
var smuggles = []string{
	"a\rb", "a\nb", "\r", "\n", "\r\r\n", "\n\r",
	"a\r\n.\r\nMAIL FROM:<v@evil.test>\r\nRCPT TO:<w@a.test>\r\nDATA\r\nSubject: x\r\n\r\nx\r\n.\r\n",
	"a\n.\nMAIL FROM:<v@evil.test>\n", "a\r.\rMAIL FROM:<v@evil.test>\r", "a\n.\r\nMAIL FROM:<v@evil.test>\r\n",
	"a\r\n.\nMAIL FROM:<v@evil.test>\n",
	"a\r\n.\rMAIL FROM:<v@evil.test>\r\n", "a\r\n\x00.\r\nMAIL FROM:<v@evil.test>\r\n", ".\r\n", ".", "a\r\n..\r\nb",
	"x\r\nBcc: v@evil.test", "x\nBcc: v@evil.test", "x\rBcc: v@evil.test",
	"a\x00b", "a\u2028.\u2028b", "a\u0085.\u0085b", "a\v.\fb", strings.Repeat("x", 996) + "\r\n.\r\n" +
		strings.Repeat("ä", 2000) + "\n.\n",
}

// Wherever such a text stands, no bare CR or LF leaves, no message ends before
// its end, and the host hears as many messages as were sent.
func TestNothingIsSmuggled(t *testing.T) {
	t.Parallel()
	places := map[string]func(b *queue.Batch, text string) (data string){
		"text":    func(b *queue.Batch, text string) string { b.Text = text; return "" },
		"html":    func(b *queue.Batch, text string) string { b.Text, b.HTML = "", text; return "" },
		"both":    func(b *queue.Batch, text string) string { b.Text, b.HTML = text, text; return "" },
		"subject": func(b *queue.Batch, text string) string { b.Subject = text; return "" },
		"name":    func(b *queue.Batch, text string) string { b.FromName = text; return "" },
		"reply":   func(b *queue.Batch, text string) string { b.ReplyTo = "a@b.test" + text; return "" },
		"from":    func(b *queue.Batch, text string) string { b.From = text + "@from.test"; return "" },
		"return":  func(b *queue.Batch, text string) string { b.ReturnPath = text + "@from.test"; return "" },
		"list": func(b *queue.Batch, text string) string {
			b.ListUnsubscribe = "https://from.test/" +
				text
			return ""
		},
		"file": func(b *queue.Batch, text string) string {
			b.Attachments = []queue.Attachment{{Filename: "a.txt", Content: []byte(text)}}
			return ""
		},
		"eml": func(b *queue.Batch, text string) string {
			b.Attachments = []queue.Attachment{{Filename: "a.eml", ContentType: "message/rfc822",
				Content: []byte(text)}}
			return ""
		},
		"filename": func(b *queue.Batch, text string) string {
			b.Attachments = []queue.Attachment{{Filename: text, Content: []byte("x")}}
			return ""
		},
		"type": func(b *queue.Batch, text string) string {
			b.Attachments = []queue.Attachment{{Filename: "a.txt", ContentType: "text/plain" + text,
				Content: []byte("x")}}
			return ""
		},
		"merged text": func(b *queue.Batch,
			text string) string {
			b.Text = "Dear {{.name}}, {{.name}}"
			return text
		},
		"merged html": func(b *queue.Batch,
			text string) string {
			b.HTML = "<p title='{{.name}}'>{{.name}}</p>"
			return text
		},
		"merged subject": func(b *queue.Batch, text string) string { b.Subject = "For {{.name}}"; return text },
		"merged list": func(b *queue.Batch, text string) string {
			b.ListUnsubscribe = "https://from.test/{{.name}}"
			return text
		},
	}
	offers := map[string][]string{
		"pipelined, 8 bit": {"PIPELINING", "8BITMIME", "SMTPUTF8", "SIZE 52428800"}, "7 bit": {"ENHANCEDSTATUSCODES"},
		"chunking": {"PIPELINING", "CHUNKING", "BINARYMIME", "8BITMIME"},
	}
	for offer, extensions := range offers {
		t.Run(offer, func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			heard := map[int]*bytes.Buffer{}
			w, host := one(t, smtptest.Config{Extensions: extensions, Heard: func(conn int, octets []byte) {
				mu.Lock()
				defer mu.Unlock()
				if heard[conn] == nil {
					heard[conn] = new(bytes.Buffer)
				}
				heard[conn].Write(octets)
			}})
			delivered, seq := 0, 0
			for place, put := range places {
				for _, text := range smuggles {
					seq++
					b := *testBatch
					data, err := json.Marshal(map[string]string{"name": put(&b, text)})
					if err != nil {
						t.Fatal(err)
					}
					o := w.deliver(t, to(&b, seq, "user@a.test", string(data)))
					switch o.State {
					case queue.Delivered:
						delivered++
					case queue.Invalid, queue.Bounced:
					case queue.Deferred:
						if o.Fault == "" {
							t.Errorf("%s, %q: got %+v, want a fault of the batch", place, text, o)
						}
					default:
						t.Errorf("%s, %q: got %+v, want delivered, invalid or refused", place, text, o)
					}
				}
			}
			for _, text := range smuggles {
				seq++
				if o := w.deliver(t, to(testBatch, seq, text+"@a.test")); o.State == queue.Delivered {
					delivered++
				}
			}
			w.sender.Close()
			if got := host.Delivered(); got != delivered {
				t.Errorf("messages that the host took: got %d, want the %d that were sent", got, delivered)
			}
			if delivered < seq/3 { // most of the rest is no header, and refused
				t.Errorf("delivered: got %d of %d, want more", delivered, seq)
			}
			mu.Lock()
			defer mu.Unlock()
			ends := 0
			for conn, octets := range heard {
				ends += bytes.Count(octets.Bytes(), []byte("\r\n.\r\n"))
				if bare := bareEnd(octets.Bytes()); bare != "" {
					t.Errorf("connection %d: a bare CR or LF in %q", conn, bare)
				}
				if offer == "chunking" { // octets are counted: what stands in a message ends nothing
					continue
				}
				if bytes.Contains(octets.Bytes(), []byte("\r\nMAIL FROM:<v@evil.test>")) &&
					bytes.Contains(octets.Bytes(), []byte("\r\n.\r\nMAIL FROM:<v@evil.test>")) {
					t.Errorf("connection %d: a transaction was smuggled in", conn)
				}
			}
			if ends != delivered && offer != "chunking" {
				t.Errorf("ends of messages on the wire: got %d, want %d", ends, delivered)
			}
			for _, m := range messages(t, host, delivered) {
				if m.From == "v@evil.test" {
					t.Error("a transaction was smuggled in")
				}
				header, _, _ := bytes.Cut(m.Data, []byte("\r\n\r\n"))
				for line := range bytes.SplitSeq(header, []byte("\r\n")) {
					if bytes.HasPrefix(bytes.ToLower(line), []byte("bcc:")) {
						t.Errorf("a header was injected: %q", header)
					}
				}
			}
		})
	}
}

// bareEnd is the surroundings of the first CR without LF or LF without CR.
func bareEnd(octets []byte) string {
	for i, c := range octets {
		if c == '\r' && (i+1 == len(octets) || octets[i+1] != '\n') || c == '\n' && (i == 0 || octets[i-1] != '\r') {
			return string(octets[max(0, i-40):min(len(octets), i+40)])
		}
	}
	return ""
}
