package returns_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"enotify/queue/queuetest"
	"enotify/sender/inbound"
	"enotify/sender/messageid"
	"enotify/sender/returns"
	"enotify/sender/token"
)

// complaintOf is a report whose recipient is hidden (RFC 6590); fields go into
// the report, returned into the header of the message.
func complaintOf(fields, returned string) returns.Mail {
	return returns.Mail{For: &inbound.Mail{}, Raw: []byte(strings.ReplaceAll(`From: feedback@isp.example
To: fbl@mail.host.example
Subject: FW: Lunch menu
Content-Type: multipart/report; report-type=feedback-report; boundary=r

--r
Content-Type: text/plain

A complaint.
--r
Content-Type: message/feedback-report

Feedback-Type: abuse
Version: 1
`+fields+`
--r
Content-Type: message/rfc822

From: info@town.example
To: <redacted>
`+returned+`Subject: Lunch menu

Soup.
--r--
`, "\n", "\r\n"))}
}

// A feedback loop hides the recipient, and the message that it returns names one all the same.
func TestRedactedComplaint(t *testing.T) {
	t.Parallel()
	f, _, batch := newDesk(t)
	created := queuetest.Query[time.Time](f, `SELECT created_at FROM enotify.batch`)
	line := func(seq int32, client string) string {
		return "Message-ID: " + string(messageid.ID{Batch: batch, Seq: seq, Created: created,
			Client: client}.Append(nil)) + "\n"
	}
	loop := fmt.Sprintf("Feedback-ID: %d:town.example:news:enotify\n", batch)
	subject := token.Subject{Batch: batch, Seq: 2}
	address := func(keys token.Keys, p token.Purpose) string { return keys.Address(p, subject, "bounce.example") }
	page := func(keys token.Keys) string {
		return "List-Unsubscribe: <https://mail.host.example/u/" + keys.Mint(token.Unsubscribe, subject) +
			">,\n <mailto:" + address(keys, token.Unsubscribe) + "?subject=unsubscribe>\n"
	}
	for name, c := range map[string]struct {
		mail       returns.Mail
		want       string // how, and the number of the recipient
		suppressed int
	}{
		"CFBL-Address": {complaintOf("", "CFBL-Address: "+address(ours, token.Complaint)+
			"; report=arf\n"), "signature 2", 1},
		"CFBL-Address, folded": {complaintOf("", "CFBL-Address:\n "+address(ours, token.Complaint)+
			";\n report=arf\n"), "signature 2", 1},
		"CFBL-Address of others": {complaintOf("", "CFBL-Address: "+address(theirs, token.Complaint)+
			"; report=arf\n"), " 0", 0},
		"List-Unsubscribe": {complaintOf("", page(ours)), "signature 2", 1},
		"List-Unsubscribe, mailto": {complaintOf("", "List-Unsubscribe: <mailto:"+
			address(ours, token.Unsubscribe)+">\n"), "signature 2", 1},
		"List-Unsubscribe of others": {complaintOf("", page(theirs)), " 0", 0},
		"return path": {complaintOf("Original-Mail-From: <"+address(ours, token.Bounce)+">\n", ""),
			"signature 2", 1},
		"Return-Path": {complaintOf("", "Return-Path: <"+address(ours, token.Bounce)+">\n"),
			"signature 2", 1},
		"Microsoft names the recipient": {complaintOf("", "X-HmXmrOriginalRecipient: "+
			queuetest.Query[string](f, `SELECT address FROM enotify.recipient WHERE seq = 1`)+"\n"+
			line(1, "town.example")), "message-id 1", 1},
		"Message-ID and Feedback-ID":   {complaintOf("", line(1, "town.example")+loop), "headers 1", 0},
		"Message-ID alone":             {complaintOf("", line(1, "town.example")), " 0", 0},
		"Feedback-ID alone":            {complaintOf("", loop), " 0", 0},
		"Message-ID of another client": {complaintOf("", line(1, "village.example")+loop), " 0", 0},
		"Feedback-ID of another batch": {complaintOf("", line(1, "town.example")+
			"Feedback-ID: 4711:town.example:news:enotify\n"), " 0", 0},
		"no complaint, with our signature": {returns.Mail{For: &inbound.Mail{},
			Raw: []byte("Subject: please confirm\r\n\r\nCFBL-Address: " + address(ours, token.Complaint) + "\r\n")},
			" 0", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, d, _ := newDesk(t)
			f.Exec(`UPDATE enotify.batch SET created_at = $1`, created)
			taken, err := d.Take(t.Context(), c.mail)
			if err != nil {
				t.Fatal(err)
			}
			if got := fmt.Sprintf("%s %d", taken.About.How, taken.About.Subject.Seq); got != c.want ||
				taken.Unsubscribed() {
				t.Errorf("about: got %q, unsubscribed %t, want %q", got, taken.Unsubscribed(), c.want)
			}
			if got := queuetest.Query[int](f,
				`SELECT count(*)::int FROM enotify.suppression WHERE cause = 'complaint' AND client_id IS NOT NULL`); got != c.suppressed {
				t.Errorf("suppressed for the client: got %d, want %d", got, c.suppressed)
			}
			want := 1
			if taken.About.How == "" {
				want = 0
			}
			if got := queuetest.Query[int](f,
				`SELECT count(*)::int FROM enotify.report WHERE kind = 'complaint'`); got != want {
				t.Errorf("complaints recorded: got %d, want %d", got, want)
			}
		})
	}
}
