package returns_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"enotify/queue"
	"enotify/queue/queuetest"
	"enotify/sender/inbound"
	"enotify/sender/messageid"
	"enotify/sender/returns"
	"enotify/sender/token"
)

func TestMain(m *testing.M) { queuetest.Main(m) }

var (
	ours   = token.Keys{{ID: "k", Secret: []byte("0123456789abcdef0123456789abcdef")}}
	theirs = token.Keys{{ID: "k", Secret: []byte("fedcba9876543210fedcba9876543210")}}
)

// newDesk is a desk on a database where a batch was delivered to two recipients.
func newDesk(t *testing.T) (f *queuetest.Fixture, d *returns.Desk, batch int64) {
	t.Helper()
	f = queuetest.NewFixture(t)
	batch = f.Enqueue("menu", 2, "a.example")
	f.Serve(f.Server("n1", func(context.Context, queue.Message) queue.Outcome {
		return queue.Outcome{State: queue.Delivered, Reply: queue.Reply{Code: 250, Text: "ok"}}
	}))
	open := func(_ context.Context, p token.Purpose, text string) (token.Subject, error) {
		return ours.Open(p, text)
	}
	return f, &returns.Desk{Queue: f.DB, Open: open}, batch
}

// deliveryReport is one about an address; lines go into the header of the
// mail, and into the header of the message that it returns.
func deliveryReport(recipient, header, returned string) []byte {
	return []byte(strings.ReplaceAll(fmt.Sprintf(`From: Mail Delivery System <MAILER-DAEMON@mx.example>
%sSubject: This came back
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary=r

--r
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example

Final-Recipient: rfc822; %s
Action: failed
Status: 5.1.1
Diagnostic-Code: smtp; 550 5.1.1 <%[2]s>: user unknown

--r
Content-Type: text/rfc822-headers

%[3]sSubject: Lunch menu

--r--
`, header, recipient, returned), "\n", "\r\n"))
}

// Whom a mail is about, and so who is suppressed.
func TestAbout(t *testing.T) {
	t.Parallel()
	f, _, batch := newDesk(t)
	created := queuetest.Query[time.Time](f, `SELECT created_at FROM enotify.batch`)
	id := messageid.ID{Batch: batch, Seq: 1, Created: created, Client: "town.example"}
	line := func(id messageid.ID) string { return "Message-ID: " + string(id.Append(nil)) + "\n" }
	earlier, elsewhere, later := id, id, id
	earlier.Created = created.Add(-time.Microsecond)
	elsewhere.Client = "village.example"
	later.Seq = 3
	first := queuetest.Query[string](f, `SELECT address FROM enotify.recipient WHERE seq = 1`)
	second := queuetest.Query[string](f, `SELECT address FROM enotify.recipient WHERE seq = 2`)
	subject := token.Subject{Batch: batch, Seq: 2}
	path, forged := ours.Address(token.Bounce, subject, "bounce.example"), theirs.Address(token.Bounce, subject,
		"bounce.example")

	for name, c := range map[string]struct {
		mail returns.Mail
		want string // how, and the number of the recipient
	}{
		"taken for a signed address, whatever the mail says": {returns.Mail{For: &inbound.Mail{To: token.Bounce,
			Subject: subject},
			Raw: deliveryReport("somebody@else.example", "", line(id))}, "signature 2"},
		"sent to a signed address": {returns.Mail{Raw: deliveryReport("somebody@else.example",
			"Delivered-To: "+path+"\n", line(id))}, "signature 2"},
		"sent to a signed address, of that recipient": {returns.Mail{Raw: deliveryReport(second, "Delivered-To: "+path+
			"\n", "")}, "signature 2"},
		"returns a signed path": {returns.Mail{Raw: deliveryReport("somebody@else.example", "",
			"Return-Path: <"+path+">\n")}, "signature 2"},
		"forged path": {returns.Mail{Raw: deliveryReport(second, "To: "+forged+"\n",
			"Return-Path: <"+forged+">\n")}, " 0"},
		"forged path, our Message-ID and the address": {returns.Mail{Raw: deliveryReport(first, "To: "+forged+"\n",
			line(id))}, "message-id 1"},

		"our Message-ID and the address": {returns.Mail{Raw: deliveryReport(first, "", line(id))},
			"message-id 1"},
		"the address in capitals": {returns.Mail{Raw: deliveryReport(strings.ToUpper(first), "",
			line(id))}, "message-id 1"},
		"our Message-ID, another's address": {returns.Mail{Raw: deliveryReport(second, "", line(id))}, " 0"},
		"our Message-ID and no address":     {returns.Mail{Raw: []byte("From: fbl@isp.example\r\nContent-Type: multipart/report; report-type=feedback-report; boundary=r\r\n\r\n--r\r\nContent-Type: message/feedback-report\r\n\r\nFeedback-Type: abuse\r\n\r\n--r\r\nContent-Type: text/rfc822-headers\r\n\r\n" + line(id) + "\r\n--r--\r\n")}, " 0"},
		"Message-ID of an older batch":      {returns.Mail{Raw: deliveryReport(first, "", line(earlier))}, " 0"},
		"Message-ID of another client":      {returns.Mail{Raw: deliveryReport(first, "", line(elsewhere))}, " 0"},
		"Message-ID of nobody in the batch": {returns.Mail{Raw: deliveryReport(first, "", line(later))}, " 0"},
		"an address alone":                  {returns.Mail{Raw: deliveryReport(first, "", "")}, " 0"},
		"an address and somebody's Message-ID": {returns.Mail{Raw: deliveryReport(first, "",
			"Message-ID: <4711@mx.example>\n")}, " 0"},
		"no bounce, with our Message-ID": {returns.Mail{Raw: []byte("From: <" + first + ">\r\nIn-Reply-To: " +
			string(id.Append(nil)) + "\r\nSubject: Thanks\r\n\r\nFor the menu.\r\n")}, " 0"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, d, of := newDesk(t)
			f.Exec(`UPDATE enotify.batch SET created_at = $1`, created)
			if of != batch {
				t.Fatalf("batch: got %d, want %d as in the mails", of, batch)
			}
			taken, err := d.Take(t.Context(), c.mail)
			if err != nil {
				t.Fatal(err)
			}
			if got := fmt.Sprintf("%s %d", taken.About.How, taken.About.Subject.Seq); got != c.want {
				t.Errorf("about: got %q, want %q", got, c.want)
			}
			want := []string{} // whom the mail calls gone; where mail is forwarded, that is somebody else
			for seq, address := range map[int32]string{1: first, 2: second} {
				if taken.About.Subject.Seq == seq &&
					strings.Contains(strings.ToLower(string(c.mail.Raw)), "rfc822; "+address) {
					want = append(want, address)
				}
			}
			got := queuetest.Query[[]string](f, `SELECT coalesce(array_agg(address), '{}') FROM enotify.suppression`)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("suppressed (-want +got):\n%s", diff)
			}
		})
	}
}

// A mail to the address of List-Unsubscribe unsubscribes, whatever it says.
func TestUnsubscribeByMail(t *testing.T) {
	t.Parallel()
	f, d, batch := newDesk(t)
	to := ours.Address(token.Unsubscribe, token.Subject{Batch: batch, Seq: 1}, "bounce.example")
	taken, err := d.Take(t.Context(), returns.Mail{Raw: []byte("To: " + to + "\r\nSubject: no more\r\n\r\n")})
	if err != nil || !taken.Unsubscribed() || taken.Client != "town.example" {
		t.Errorf("got %+v, %v, want recipient 1 of town.example unsubscribed", taken, err)
	}
	if got := queuetest.Query[string](f,
		`SELECT string_agg(s.cause || ' ' || c.domain, ', ') FROM enotify.suppression s JOIN enotify.client c ON c.id = s.client_id`); got != "unsubscribe town.example" {
		t.Errorf("suppressions: got %q, want unsubscribe town.example", got)
	}
}
