package bounce_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"enotify/queue"
	"enotify/sender/bounce"
)

// Every rule has an example that it decides: a rule that an earlier one hides
// is dead and must go.
var examples = []struct {
	rule, reply string
	class       queue.Class
	site        string
}{
	{"no-answer", "dial tcp 192.0.2.25:25: connect: connection refused", queue.Offline, ""},
	{"flood", "421 4.7.28 We see a flood of mail from you, wait a little", queue.Throttled, ""},
	{"unusual-rate", "421 4.7.0 An unusual rate of mail comes from 192.0.2.1", queue.Throttled, ""},
	{"unusual-rate-blocked", "550 5.7.1 An unusual rate of unwanted mail comes from 192.0.2.1", queue.SpamBlock, ""},
	{"no-ptr-code", "550 5.7.25 192.0.2.1 has no name", queue.AuthRejected, ""},
	{"auth-codes", "550 5.7.26 Neither check passed for example.com", queue.AuthRejected, ""},
	{"google-no-tls", "421 4.7.29 Bulk mail has to come over TLS", queue.AuthRejected, ""},
	{"sender-null-mx", "550 5.7.27 example.com, where you write from, takes no answers", queue.AuthRejected, ""},
	{"google-blocked-content", "552 5.7.0 Not taken: it presents a potential security issue", queue.Policy, ""},
	{"google-recipient-rate", "450 4.2.1 That user is receiving mail too quickly just now", queue.Throttled, ""},
	{"sending-limit", "550 5.4.5 The sending quota of your account is used up", queue.Throttled, ""},
	{"ms-unknown-behind-access-denied", "550 5.4.1 [jo@example.net]: Recipient address rejected: Access denied", queue.NoSuchUser, ""},
	{"ms-level", "550 5.7.515 Access denied, example.com falls short of the level we ask for", queue.AuthRejected, ""},
	{"anonymous-refused", "530 5.7.57 Client not known, anonymous mail refused", queue.AuthRejected, ""},
	{"ms-group", "550 5.7.124 Only colleagues may write to this group", queue.Policy, ""},
	{"ms-restricted", "550 5.7.1 RESOLVER.RST.NotAuthorized; not for you", queue.Policy, ""},
	{"ms-reputation", "451 4.7.650 Mail server [192.0.2.1] is slowed because of what we know of it", queue.SpamBlock, ""},
	{"ms-banned", "550 5.7.1 Access denied, banned sending IP [192.0.2.1]", queue.SpamBlock, ""},
	{"ms-limits", "554 5.2.122 This hour's share of mail for the recipient is used up", queue.Throttled, ""},
	{"ms-busy", "432 4.3.21 Mailbox server is slow today", queue.Throttled, ""},
	{"ms-thread-limit", "432 4.3.2 STOREDRV.Deliver; recipient thread limit reached", queue.Throttled, ""},
	{"ms-compliance", "550 5.7.512 Access denied, the From field is not as it should be", queue.Content, ""},
	{"ms-domain-gone", "550 5.4.310 DNS domain example.invalid does not exist", queue.NoSuchUser, ""},
	{"ms-listed", "550 5.7.1 Messages from [192.0.2.1] weren't sent (S3150)", queue.SpamBlock, ""},
	{"yahoo-deferred-for-good", "421 4.7.1 [TS03] All mail from 192.0.2.1 will be permanently deferred", queue.SpamBlock, ""},
	{"yahoo-volume", "421 4.7.0 [TSS04] Mail from 192.0.2.1 waits", queue.Throttled, ""},
	{"yahoo-complaints", "421 4.7.1 [TS01] Mail from 192.0.2.1 waits because of user complaints", queue.SpamBlock, ""},
	{"yahoo-account", "554 delivery error: dd That person doesn't have a yahoo.example account", queue.NoSuchUser, ""},
	{"yahoo-policy", "554 [PH01] Not taken for policy reasons", queue.Policy, ""},
	{"apple-policy", "550 5.7.1 [CS01] Not taken, see our support pages", queue.Policy, ""},
	{"cox-blocked", "554 192.0.2.1 is on our list. AUP#CXBL", queue.SpamBlock, ""},
	{"cox-ptr", "554 The domain has neither MX nor A. AUP#CXSNDR", queue.AuthRejected, ""},
	{"cox-rate", "452 192.0.2.1 wait a while CXTHRT", queue.Throttled, ""},
	{"comcast-throttled", "421 4.1.0 See our codes page, RL000001", queue.Throttled, ""},
	{"comcast-blocked", "554 5.7.1 See our codes page, BL000010", queue.SpamBlock, ""},
	{"extended-quota", "552 5.1.1 <jo@example.net> in extended quota violation", queue.MailboxFull, ""},
	{"netease-auth", "550 MI:SPF mx27, see our help", queue.AuthRejected, ""},
	{"netease-spam", "554 DT:SPM mx27, see our help", queue.SpamBlock, ""},
	{"netease-blocked", "554 DT:RBL mx27, see our help", queue.SpamBlock, ""},
	{"netease-rate", "421 HL:ICC mx27, see our help", queue.Throttled, ""},
	{"tencent-rate", "550 Ip frequency limited [192.0.2.1]", queue.Throttled, ""},
	{"tencent-spam", "550 Mail content denied, see our help", queue.SpamBlock, ""},
	{"tencent-deactivated", "550 jo@example.net is a deactivated mailbox", queue.NoSuchUser, ""},
	{"french-sites-rate", "421 Trop de connexions, patientez. OFR004_104", queue.Throttled, ""},
	{"french-sites-trouble", "421 4.2.0 Service refusé, plus tard. OFR009_505 [505]", queue.Offline, ""},
	{"french-sites-spam", "550 5.2.0 Mail rejeté. OFR_506 [506]", queue.SpamBlock, ""},
	{"french-sites-blocked", "421 4.2.1 Service refusé, plus tard. OFR009_103 [103]", queue.SpamBlock, ""},
	{"tonline-reputation", "554 IP=192.0.2.1 - None/bad reputation (NOWL)", queue.SpamBlock, ""},
	{"gmx-policy", "554-Transaction ended\\n554 Reject due to policy restrictions.", queue.Policy, ""},
	{"mimecast-greylist", "451 Internal resource temporarily unavailable", queue.Throttled, ""},
	{"mimecast-policy", "550 Rejected by header based Blocked Senders list", queue.Policy, ""},
	{"mimecast-signature", "554 Email rejected, our policies say so - MCSpamSignature.x.1", queue.Content, ""},
	{"mimecast-full-load", "421 Unable to process connection at this time", queue.Throttled, ""},
	{"ses-unverified", "554 Message rejected: Email address is not verified: news@example.com", queue.AuthRejected, ""},
	{"relay-suppressed", "550 The address is on the suppression list of your account", queue.Policy, ""},

	{"malware", "554 5.7.1 A virus was found: Eicar", queue.Content, ""},
	{"illegal-attachment", "552 5.7.0 This kind of attachment is not allowed", queue.Content, ""},
	{"not-compliant", "550 5.7.1 Messages missing a valid From: are against RFC 5322", queue.Content, ""},
	{"gone-recipient-rejected-unknown", "550 <jo@example.net>: Recipient address rejected: User unknown in local recipient table; From: <news@example.com>", queue.NoSuchUser, ""},
	{"dmarc", "550 5.7.1 example.com asks us to reject by its DMARC policy", queue.AuthRejected, ""},
	{"spf", "451 SPF: 192.0.2.1 may not send for example.com", queue.AuthRejected, ""},
	{"dkim", "550 5.7.1 No DKIM signature of example.com holds", queue.AuthRejected, ""},
	{"arc", "550 5.7.1 The ARC chain is broken", queue.AuthRejected, ""},
	{"not-authenticated", "550 5.7.1 Unauthenticated mail from example.com is not taken", queue.AuthRejected, ""},
	{"spoofing", "550 That looks like a forged sender", queue.AuthRejected, ""},
	{"no-ptr", "450 4.7.1 Client host rejected: cannot find your hostname, [192.0.2.1]", queue.AuthRejected, ""},
	{"relay", "554 5.7.1 <jo@example.net>: Relay access denied", queue.AuthRejected, ""},
	{"credentials", "535 5.7.8 Wrong password, or none", queue.AuthRejected, ""},
	{"sender-syntax", "553 5.1.7 <news@> is no address", queue.Content, ""},
	{"sender-rate", "452 The sender has exceeded its share", queue.Throttled, ""},
	{"sender-on-blocklist", "554 5.7.1 Sender example.com is on the blocklist of our neighbour", queue.SpamBlock, ""},
	{"sender-blocked-by-rule", "550 5.7.1 Sender denied by the owner of this mailbox", queue.Policy, ""},
	{"helo", "550 5.7.1 <localhost>: Helo command rejected: that is not your name", queue.SpamBlock, ""},
	{"helo-name", "501 5.0.0 Invalid domain name", queue.SpamBlock, ""},
	{"sender-refused", "450 4.1.8 <news@example.invalid>: Sender address rejected: Domain not found", queue.AuthRejected, ""},
	{"reputation", "554 mx.example.net 192.0.2.1 has a poor reputation with us", queue.SpamBlock, ""},
	{"blocklist", "554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org", queue.SpamBlock, ""},
	{"sending-to-unknowns", "554 192.0.2.1 sent to too many invalid addresses today", queue.SpamBlock, ""},
	{"host-refused", "554 5.7.1 We take nothing from dynamic IP ranges", queue.SpamBlock, ""},
	{"address-of-ours-blocked", "550 5.7.1 Your IP 192.0.2.1 was refused", queue.SpamBlock, ""},
	{"spam-plain", "554 That was judged to be spam by too many people today", queue.SpamBlock, ""},
	{"quota-of-messages", "450 4.7.3 The queue quota of the organization: organization queue is full", queue.Throttled, ""},
	{"rate", "450 4.7.1 You have exceeded the limit of 100 messages per hour", queue.Throttled, ""},
	{"rate-plain", "421 4.7.0 Slow down, please", queue.Throttled, ""},
	{"rate-ja", "421 同時接続が上限に達しました", queue.Throttled, ""},
	{"greylist", "450 4.2.0 <jo@example.net>: Greylisted, come in five minutes", queue.Throttled, ""},
	{"spam-word", "550 5.7.1 Nous pensons que c'est du spam", queue.SpamBlock, ""},
	{"content-refused", "550 5.7.1 The content was rejected", queue.Content, ""},
	{"blocked-word", "550 5.2.0 Message filtered", queue.Policy, ""},
	{"any-reason", "550-The account or domain may not exist, they may be blacklisted, or their DNS is wrong", queue.Other, ""},
	{"nothing-to-yourself", "550 That is redundant: you cannot write to yourself", queue.SpamBlock, ""},

	{"full", "552 <jo@example.net> mailbox is full", queue.MailboxFull, ""},
	{"full-other-languages", "552 La boîte aux lettres du destinataire est pleine: quota dépassé", queue.MailboxFull, ""},
	{"full-code", "554 5.2.2 No room for more", queue.MailboxFull, ""},
	{"recipient-rule", "550 5.7.1 jo@example.net only accepts mail from friends", queue.Policy, ""},
	{"recipient-access-denied", "554 5.7.1 <jo@example.net>: Recipient address rejected: Access denied", queue.Policy, ""},
	{"unknown-for-now", "450 4.1.1 <jo@example.net>: Recipient address rejected: unverified address", queue.Other, ""},
	{"gone-plain", "550 No such user here", queue.NoSuchUser, ""},
	{"gone-pair", "550 5.1.1 The account jo does not exist", queue.NoSuchUser, ""},
	{"gone-disabled", "550 5.2.1 The mailbox has been disabled", queue.NoSuchUser, ""},
	{"gone-domain", "550 5.1.2 Host unknown", queue.NoSuchUser, ""},
	{"gone-host", "550 5.4.4 Host not found", queue.NoSuchUser, ""},
	{"gone-null-mx", "556 5.1.10 example.net has a null MX", queue.NoSuchUser, ""},
	{"gone-ironport", "550 #5.1.0 Address rejected.", queue.NoSuchUser, ""},
	{"gone-recipient-rejected", "550 5.1.1 <jo@example.net>: Recipient rejected by table 7", queue.NoSuchUser, ""},
	{"gone-unavailable", "550 Requested action not taken: mailbox unavailable", queue.NoSuchUser, ""},
	{"gone-bare", "550 <jo@example.net>: Recipient address rejected", queue.NoSuchUser, ""},
	{"gone-french", "550 L'adresse indiquée n'existe pas", queue.NoSuchUser, ""},
	{"gone-german", "550 Empfänger unbekannt", queue.NoSuchUser, ""},
	{"gone-spanish", "550 El usuario no existe", queue.NoSuchUser, ""},
	{"gone-portuguese", "550 Usuário não encontrado", queue.NoSuchUser, ""},
	{"gone-chinese", "550 收件人不存在", queue.NoSuchUser, ""},
	{"gone-japanese", "550 宛先のアドレスは存在しません", queue.NoSuchUser, ""},

	{"size", "552 5.3.4 The message is too large, 10 MB is the most", queue.Content, ""},
	{"header", "550 5.6.0 Malformed header lines", queue.Content, ""},
	{"content-code", "554 5.6.1 We cannot read this", queue.Content, ""},
	{"content-words", "554 5.7.1 The content is unacceptable", queue.Content, ""},
	{"bad-link", "554 5.7.1 One of the URLs is on a list", queue.SpamBlock, ""},
	{"tls", "530 5.7.0 Must issue a STARTTLS command first", queue.Policy, ""},
	{"policy", "550 Administrative prohibition", queue.Policy, ""},
	{"access-denied", "550 5.7.1 <news@example.com>... Access denied", queue.AuthRejected, ""},
	{"access-denied-for-now", "451 4.7.1 Access denied", queue.SpamBlock, ""},
	{"loop", "554 5.4.6 Too many hops", queue.Offline, ""},
	{"busy", "451 The machine is too busy", queue.Throttled, ""},
	{"server-trouble", "421 Service not available, closing channel", queue.Offline, ""},
	{"connection", "421 4.4.2 mx.example.net Error: timeout exceeded", queue.Offline, ""},
	{"their-dns", "450 4.4.0 The name server gave no useful reply", queue.Offline, ""},
	{"trouble-unsaid", "451 4.3.0 Temporary failure", queue.Other, ""},
	{"their-disk", "452 4.3.1 Insufficient disk for the queue", queue.Offline, ""},
	{"try-again", "421 4.7.0 Try again later", queue.Throttled, ""},
	{"protocol", "503 5.5.1 Bad sequence of commands", queue.Other, ""},
	{"rejected-unclear", "554 5.7.1 Message rejected", queue.SpamBlock, ""},

	{"yahoo-421", "421 Not now", queue.Throttled, "mta5.am0.yahoodns.net"},
	{"x.1-recipient", "550 5.1.1 No", queue.NoSuchUser, ""},
	{"x.1-sender", "553 5.1.8 No", queue.AuthRejected, ""},
	{"x.1-for-now", "450 4.1.1 No", queue.Other, ""},
	{"x.2.1", "550 5.2.1 No", queue.NoSuchUser, ""},
	{"x.2.3", "552 5.2.3 No", queue.Content, ""},
	{"x.2.4", "550 5.2.4 No", queue.Other, ""},
	{"x.3", "451 4.3.2 No", queue.Offline, ""},
	{"x.4.5", "451 4.4.5 No", queue.Throttled, ""},
	{"x.4", "451 4.4.1 No", queue.Offline, ""},
	{"x.5", "550 5.5.2 No", queue.Other, ""},
	{"x.7-crypto", "550 5.7.5 No", queue.AuthRejected, ""},
	{"x.7-for-now", "451 4.7.1 No", queue.Throttled, ""},
	{"x.7-for-good", "550 5.7.1 No", queue.Policy, ""},
	{"421", "421 No", queue.Offline, ""},
	{"450", "450 No", queue.Other, ""},
	{"451", "451 No", queue.Offline, ""},
	{"452", "452 No", queue.Throttled, ""},
	{"auth-codes-smtp", "534 No", queue.AuthRejected, ""},
	{"no-mail-here", "556 No", queue.NoSuchUser, ""},
	{"552", "552 No", queue.MailboxFull, ""},
	{"553", "553 No", queue.AuthRejected, ""},
	{"protocol-codes", "500 No", queue.Other, ""},
	{"4xx", "499 No", queue.Other, ""},
	{"5xx", "550 No", queue.Other, ""},
	{"unmatched", "No", queue.Other, ""},
	{"unmatched", "", queue.Other, ""},
}

func TestRules(t *testing.T) {
	t.Parallel()
	decided := map[string]bool{}
	for _, e := range examples {
		v := bounce.Classify(bounce.Parse(e.reply), e.site)
		if v.Rule != e.rule || v.Class != e.class {
			t.Errorf("%q: got %s by %s, want %s by %s", e.reply, v.Class, v.Rule, e.class, e.rule)
		}
		decided[v.Rule] = true
	}
	ids := bounce.Rules()
	for _, id := range ids {
		if !decided[id] {
			t.Errorf("rule %s decides no example", id)
		}
	}
	slices.Sort(ids)
	if diff := cmp.Diff(slices.Compact(slices.Clone(ids)), ids); diff != "" {
		t.Errorf("ids are not unique (-want +got):\n%s", diff)
	}
}
