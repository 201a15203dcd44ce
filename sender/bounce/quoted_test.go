package bounce_test

import (
	"testing"

	"enotify/queue"
	"enotify/sender/bounce"
)

// Where a reply quotes another, that one decides.
func TestQuotedReply(t *testing.T) {
	t.Parallel()
	const check = "550 5.1.1 <jo@example.net>: Recipient address rejected: undeliverable address: "
	for _, tt := range []struct {
		line   string
		class  queue.Class
		quoted string
	}{
		// A gateway asked the next host (Postfix ADDRESS_VERIFICATION_README)
		{check + "host mx.example.net[192.0.2.1] said: 550 5.1.1 User unknown (in reply to RCPT TO command)",
			queue.NoSuchUser, "550 5.1.1 User unknown"},
		{check + `unknown user: "jo"`, queue.NoSuchUser, `550 unknown user: "jo"`},
		{check + "host mx.example.net[192.0.2.1] said: 552 5.2.2 Mailbox full (in reply to RCPT TO command)",
			queue.MailboxFull, "552 5.2.2 Mailbox full"},
		{check + "host mx.example.net[192.0.2.1] said: 450 4.7.1 Greylisted (in reply to RCPT TO command)",
			queue.Offline, "450 4.7.1 Greylisted"},
		{check + "connect to 192.0.2.5[192.0.2.5]:25: Connection refused", queue.Offline,
			"550 connect to 192.0.2.5[192.0.2.5]:25: Connection refused"},
		{check + "mail for example.net loops back to myself", queue.Offline,
			"550 mail for example.net loops back to myself"},
		{check + "host relay.example[192.0.2.1] said: 554 5.7.1 Client host [192.0.2.7] blocked using zen.spamhaus.org (in reply to RCPT TO command)", queue.Policy,
			"554 5.7.1 Client host [192.0.2.7] blocked using zen.spamhaus.org"}, // the gateway is blocked there, not we
		{check + "host mx.example.net[192.0.2.1] said: 550 no", queue.Policy, "550 no"},
		{"450 4.1.1 Recipient address rejected: unverified address: Address verification in progress", queue.Throttled,
			"450 Address verification in progress"},

		// The gateway allows another try, whatever the host behind it says
		{"450 4.1.1 <jo@example.net>: Recipient address rejected: undeliverable address: host mx.example.net[192.0.2.1] said: 550 5.1.1 User unknown", queue.Other, ""},

		// A host on the way passes on what the next one said
		{"550 5.0.350 Remote server returned an error -> 550 5.1.1 User unknown", queue.NoSuchUser, ""},
		{"550 5.1.1 Delivery to the forwarded address failed: 550 5.7.1 SPF unauthorized mail is prohibited",
			queue.AuthRejected, "550 5.7.1 SPF unauthorized mail is prohibited"},
		{"550 5.1.1 jo@example.net: 550 5.7.26 Unauthenticated email from town.example is not accepted",
			queue.AuthRejected, "550 5.7.26 Unauthenticated email from town.example is not accepted"},
		{"550 5.7.1 Unknown address error 550-'5.7.1 <000001-abc@relay.example>... Access denied' (delivery attempts: 0)", queue.AuthRejected,
			"550 5.7.1 <000001-abc@relay.example>... Access denied"},
		{"550 5.1.1 remote host said: 450 mailbox busy", queue.Throttled, "450 mailbox busy"},

		// Lines of one reply are not quotations
		{"550-5.1.1 The account does not exist, see:\n550 5.1.1 https://help.example/no-such-user", queue.NoSuchUser,
			""},
		{"550-5.1.1 The account does 550-5.1.1 not exist, see: 550 5.1.1 https://help.example/", queue.NoSuchUser, ""},
	} {
		x := bounce.Rules{}.Explain(bounce.Parse(tt.line), bounce.About{})
		if x.Class != tt.class || x.Quoted != tt.quoted {
			t.Errorf("%q:\n got %s by %s, quoted %q\nwant %s, quoted %q", tt.line, x.Class, x.Rule, x.Quoted, tt.class,
				tt.quoted)
		}
		if x.Quoted != "" && (x.Treatment.HoldsEgress || x.Treatment.SlowsSite && x.Class != queue.Throttled) {
			t.Errorf("%q: got %s, want nothing held for what a host behind the receiver says", tt.line, x.Action)
		}
	}
}
