package report_test

import (
	"strings"
	"testing"

	"enotify/sender/bounce/report"
)

// An ordinary report, and the worst that was found.
func BenchmarkRead(b *testing.B) {
	mail, _ := archive(b)
	for name, raw := range map[string][]byte{
		"fields": mail["dsn-failed"],
		"words":  mail["words"],
		"addresses": []byte("From: mailer-daemon@relay.example\nSubject: undeliverable\n\n" +
			strings.Repeat("<aa@bb.example>: 550 no\n<cc@dd.example>: 550 no\n", 50000)),
		"empty parts": []byte("From: mailer-daemon@relay.example\nContent-Type: multipart/mixed; boundary=b\n\n" +
			strings.Repeat("--b\n\n", 1<<20/5)),
		"one line": []byte("From: mailer-daemon@relay.example\nSubject: undeliverable\n\n" +
			strings.Repeat("a@", 1<<20)),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				report.Read(raw)
			}
		})
	}
}
