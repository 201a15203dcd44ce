package report_test

import (
	"strings"
	"testing"

	"enotify/sender/bounce/report"
)

// A bounce of nothing but HTML is read without its markup, closed properly or not.
func TestHTML(t *testing.T) {
	t.Parallel()
	for markup, want := range map[string]string{
		"<P>Undeliverable: <b>550 5.1.1 unknown</b></P><style>a{}</style>u@x.example": "550 5.1.1 unknown",
		"undeliverable<BR>550 5.1.1 <!-- 5.7.1 --> unknown<br/>u@x.example":           "550 5.1.1 unknown",
		"undeliverable<br>u@x.example<br>550 5.1.1 a < b<script>unknown":              "550 5.1.1 a < b unknown",
		"undeliverable<br>u@x.example<br>550 5.1.1 caf&eacute; <!DOCTYPE html>":       "550 5.1.1 café",
	} {
		r := report.Read([]byte("From: mailer-daemon@relay.example\nContent-Type: text/html\n\n" + markup))
		if len(r.Recipients) != 1 || r.Recipients[0].Address != "u@x.example" {
			t.Errorf("%s: got recipients %+v, want u@x.example", markup, r.Recipients)
			continue
		}
		got := strings.Join(strings.Fields(r.Recipients[0].Reply.String()), " ")
		if !strings.HasPrefix(got, want) {
			t.Errorf("%s: got %q, want %q", markup, got, want)
		}
	}
}
