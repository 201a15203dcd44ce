package compose_test

import (
	"net"
	"strings"
	"testing"

	"enotify/queue"
	"enotify/sender/compose"
)

func BenchmarkCompose(b *testing.B) {
	text := strings.Repeat("A line of text in a newsletter, of ordinary length and content.\n", 160)
	for _, bench := range []struct {
		name, subject, text string
		attached            int // octets
	}{
		{"plain", "News", text, 0},
		{"subject merged", "News for {{.name}}", text, 0},
		{"body merged", "News", "Dear {{.name}}\n" + text, 0},
		{"body merged, 1 MB attached", "News", "Dear {{.name}}\n" + text, 1 << 20},
	} {
		b.Run(bench.name, func(b *testing.B) {
			batch := *testBatch
			batch.Text, batch.Subject = bench.text, bench.subject
			if bench.attached > 0 {
				batch.Attachments = []queue.Attachment{{Filename: "plan.pdf", Content: make([]byte, bench.attached)}}
			}
			l, err := compose.New(&batch)
			if err != nil {
				b.Fatal(err)
			}
			to := to(&batch, 1, "user@a.test", `{"name":"Somebody"}`)
			var wire net.Buffers
			b.ReportAllocs()
			for b.Loop() {
				m, err := l.Compose(to, nil)
				if err != nil {
					b.Fatal(err)
				}
				wire = m.AppendWire(wire[:0])
				m.Release()
			}
		})
	}
}
