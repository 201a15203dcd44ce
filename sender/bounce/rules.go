package bounce

import (
	"slices"

	"enotify/queue"
)

// Short names keep the table in columns.
const (
	offline   = queue.Offline
	throttled = queue.Throttled
	gone      = queue.NoSuchUser
	full      = queue.MailboxFull
	auth      = queue.AuthRejected
	spam      = queue.SpamBlock
	policy    = queue.Policy
	content   = queue.Content
	other     = queue.Other
)

// Words that several rules share.
const (
	// the reply is about the sender, about us, or about the client's domain
	sender = "sender | from address | mail from | return path | envelope from | header from | from header | from domain | originator | helo | ehlo | spf$ | dkim | dmarc | reverse dns | ptr$ | senders | your domain | sending domain | your address"
	// what a recipient is called
	someone = "user | mailbox | mail box | recipient | account | address | email | addressee | customer | alias | local part | localpart | rcpt | @ | person | subscriber | destinatario | destinataire | empfaenger"
	// what a receiver is called
	server = "server | service | system | host$ | resource"
)

// rules is the table, in the order in which the rules are asked.
var rules = slices.Concat(providerRules, senderRules, recipientRules, messageRules, codeRules)

// providerRules are what big receivers mean by codes and phrases of their own.
var providerRules = []rule{
	// No reply: what the network library says, or a delivery report of a failed connection
	{"no-answer", offline, "none", `
		dial tcp | dial | i o timeout | connection refused | connection reset | connection closed
		| connection aborted | connection timed out | reset by peer | no route | unreachable | eof$
		| broken pipe | closed network connection | handshake | timed out | timeout | deadline exceeded
		| no such host | server misbehaving | lost connection | unable to connect | could not connect
		| couldnt connect`, ""},

	// RFC 7372, RFC 7489, RFC 8617; Google "Gmail SMTP errors and codes" uses the numbers up to 30 and 40 in its own way
	{"flood", throttled, "4xx x.7.28", "", ""},
	{"unusual-rate", throttled, "4xx", "unusual rate of | unusual traffic | unexpected volume", ""},
	{"unusual-rate-blocked", spam, "5xx", "unusual rate of | unusual traffic", ""},
	{"no-ptr-code", auth, "x.7.25", "", ""},
	{"auth-codes", auth, "x.7.20 x.7.21 x.7.22 x.7.23 x.7.24 x.7.26 x.7.30 x.7.32 x.7.40", "", ""},
	{"sender-null-mx", auth, "x.7.27", "", "host does not accept mail"}, // where it is the recipient's, by a mistake of sendmail
	{"google-no-tls", auth, "x.7.29", "tls$", ""},
	{"google-blocked-content", policy, "x.7.0", `
		blocked because its content | presents a potential security issue`, ""},
	{"google-recipient-rate", throttled, "x.2.1", `
		receiving mail too quickly | receiving mail at a rate | receiving mail too`, ""},
	{"sending-limit", throttled, "", `
		relay limit | relay quota | sending limit | sending quota | sending rate | maximum credits exceeded`, ""},

	// Microsoft: "Email non-delivery reports and SMTP errors in Exchange Online", Outlook.com postmaster
	{"ms-unknown-behind-access-denied", gone, "5.4.1", "recipient address rejected & access denied", ""},
	{"ms-level", auth, "x.7.515 x.7.509 x.7.750 x.7.64", "", ""},
	{"anonymous-refused", auth, "x.7.57", "", ""},
	{"ms-group", policy, `
		x.7.120 x.7.121 x.7.122 x.7.123 x.7.124 x.7.125 x.7.126 x.7.127 x.7.128 x.7.129 x.7.130 x.7.131 x.7.132 x.7.133 x.7.134 x.7.135 x.7.136 x.7.137`, "", ""},
	{"ms-restricted", policy, "", `
		resolver rst
		& notauthorized | authrequired | sendernotauthenticated | restricted`, ""},
	{"ms-reputation", spam, `
		x.7.650 x.7.651 x.7.652 x.7.606 x.7.607 x.7.608 x.7.609 x.7.610 x.7.511 x.7.501 x.7.502 x.7.503 x.7.506 x.7.513 x.7.514 x.7.705 x.7.708`, "", ""},
	{"ms-banned", spam, "", `
		banned sending ip | banned sender | bad outbound sender | spam abuse detected
		| part of their network is on our`, ""},
	{"ms-limits", throttled, "x.2.121 x.2.122 x.7.508 x.7.230 x.7.231 x.7.232 x.7.233 x.1.90", "", ""},
	{"ms-busy", throttled, "x.7.500 x.3.21", "", ""},
	{"ms-thread-limit", throttled, "", "thread limit | concurrent connections", ""},
	{"ms-compliance", content, "x.7.512 x.6.11", "", ""},
	{"ms-domain-gone", gone, "5.4.310", "does not exist | nonexistent", sender},
	{"ms-listed", spam, "", `
		s3140 | s3150 | s8001 | s8002 | s77719 | s3114 | s843 | s844 | werent sent`, "some messages"},

	// Yahoo "SMTP error codes" and its forerunner AOL
	{"yahoo-deferred-for-good", spam, "", "permanently deferred", ""},
	{"yahoo-volume", throttled, "421 451", "tss04 | tss05 | temporarily deferred | dynt1", "user complaints | unresolvable"},
	{"yahoo-complaints", spam, "", "user complaints | complaints from | too many complaints", ""},
	{"yahoo-account", gone, "5xx", "doesnt have a & account", ""},
	{"yahoo-policy", policy, "5xx", "ph01 | not accepted for policy reasons", "spam | dmarc | dkim"},

	// Apple iCloud Mail postmaster
	{"apple-policy", policy, "5xx", "cs01 | hm08 | hme1", "dmarc | dkim | spf$"},

	// Cox and Spectrum "Email error codes"
	{"cox-blocked", spam, "", "aup & cxbl | cdrbl | ipbl | urlbl | cxjb | cxdrbl | cxjnk | cxspam | dmlk", ""},
	{"cox-ptr", auth, "", "aup & cxsndr | cxdns | cxrdns", ""},
	{"cox-rate", throttled, "", "cxthrt | cxmxrt | cxcnct | cxcon | aup in 13 | aup i 13 | aup out 13", ""},

	// Comcast "SMTP error codes"
	{"comcast-throttled", throttled, "", "rl0000 | tb0000", ""},
	{"comcast-blocked", spam, "", "bl0000 | bl0001 | comcast blocked", ""},
	{"extended-quota", full, "", "extended quota", ""},

	// NetEase 163/126 "return codes": the letters before the colon name the stage, those after it the reason
	{"netease-auth", auth, "", "mi spf | mi dma | mi dkm | dt sum", ""},
	{"netease-spam", spam, "", "dt spm", ""},
	{"netease-blocked", spam, "", "dt rbl | mi spb | hl rep | hl mep | wm bli | wm blu | mi stc | mi pbl", ""},
	{"netease-rate", throttled, "", `
		hl icc | hl ifc | mi dmc | mi sfq | mi ccl | mi cel | rp drc | rp ccl | rp cel | rp qrc | rp trc
		| rp rcl | mi qrc | mi rmc`, ""},

	// Tencent QQ and exmail "bounce reasons"
	{"tencent-rate", throttled, "", `
		frequency limited | frequency of receiving | mailbox unavailable or access denied | exceed frequency`, ""},
	{"tencent-spam", spam, "", "mail content denied | suspected bounce attacks | suspected spam | spam is embedded", ""},
	{"tencent-deactivated", gone, "5xx", "deactivated mailbox", ""},

	// Orange (OFR), La Poste (LPN), SFR: the number after the code is the same with all three, made by one software
	{"french-sites-rate", throttled, "", "trop de connexions | trop de sessions | trop de messages | ralenti", ""},
	{"french-sites-trouble", offline, "4xx", "service refuse & 505$", ""},
	{"french-sites-spam", spam, "", "ofr 506 | lpn007 510 | mail rejete | contenu non sollicite", ""},
	{"french-sites-blocked", spam, "", "ofr 103 | service refuse", ""},

	// T-Online and GMX, web.de, 1&1 postmaster pages
	{"tonline-reputation", spam, "", `
		ask your postmaster for help | nowl$ | dialup transient ip | none bad reputation
		| ip address is block listed`, ""},
	{"gmx-policy", policy, "554", "reject due to policy restrictions", ""},

	// Mimecast "SMTP error codes", GoDaddy (secureserver.net) "IB" codes
	{"mimecast-greylist", throttled, "451", `
		internal resource temporarily unavailable | internal resources are temporarily unavailable`, ""},
	{"mimecast-policy", policy, "", `
		header based | blocked senders | sender blocked | sender address blocked | anti spoofing policy
		| blocked sender | envelope blocked | administrative lockout`, "spf$ | dkim | dmarc"},
	{"mimecast-signature", content, "", "mcspamsignature | mcmalware | mcvirus", ""},
	{"mimecast-full-load", throttled, "421", "unable to process connection at this time", ""},

	// Amazon SES, SendGrid: what a smarthost says of itself
	{"ses-unverified", auth, "", `
		email address is not verified | identities failed the check | domain is not verified
		| sender is not verified`, ""},
	{"relay-suppressed", policy, "5xx", `
		suppression list | on the account suppression | has suppressed sending | history of bouncing`, ""},
}
