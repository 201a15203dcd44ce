package preflight

// A row is what a check answers, whatever it finds. Ids are for ever.
type row struct {
	id      string
	title   string      // when all is well
	trouble string      // when it is not; "" is title
	rejects []Rejection // who turns mail away where it fails
}

// What receivers say, from their postmaster pages: support.google.com/a/answer/81126
// and /3221692, senders.yahooinc.com/best-practices and /smtp-error-codes,
// learn.microsoft.com on "outlook.com postmaster" and NDR codes, 2025.
var (
	gmailNoAuth   = Rejection{"Gmail", "550 5.7.26 This message is blocked because the sender is unauthenticated"}
	gmailNoSPF    = Rejection{"Gmail", "550 5.7.27 SPF authentication did not pass"}
	gmailNoDKIM   = Rejection{"Gmail", "550 5.7.30 DKIM authentication did not pass"}
	gmailNoDMARC  = Rejection{"Gmail", "421 4.7.31 no DMARC record, or none that states a policy"}
	gmailAlign    = Rejection{"Gmail", "421 4.7.32 the From: header is not aligned"}
	gmailPTR      = Rejection{"Gmail", "550 5.7.25 the sending IP address has no PTR record, or it does not resolve back"}
	gmailHeaders  = Rejection{"Gmail", "550 5.7.1 not compliant with RFC 5322"}
	gmailSpam     = Rejection{"Gmail", "550 5.7.1 likely unsolicited mail; or the spam folder"}
	yahooNoAuth   = Rejection{"Yahoo", "554 5.7.9 not accepted for policy reasons"}
	yahooSlow     = Rejection{"Yahoo", "421 4.7.0 [TSS04] temporarily deferred due to unexpected volume or complaints"}
	microsoftAuth = Rejection{"Microsoft",
		"550 5.7.515 the sending domain does not meet the required authentication level"}
	microsoftList = Rejection{"Microsoft", "550 5.7.1 part of the sender's network is on our block list (S3150)"}
	strictSPF     = Rejection{"Strict receivers", "550 5.7.23 SPF validation failed; 553 sender not authorised"}
)

var rows = append([]row{
	{"spf.pass", "Every address of ours passes SPF for the envelope sender",
		"Our servers are not allowed to send for this domain (SPF)",
		[]Rejection{gmailNoSPF, gmailNoAuth, microsoftAuth, strictSPF}},
	{"spf.from", "The From: domain does not forbid our addresses", "The From: domain forbids our servers (SPF)",
		[]Rejection{strictSPF}},
	{"spf.lookups", "The SPF record keeps the limits of look-ups",
		"The SPF record is broken, or too long for receivers", []Rejection{gmailNoSPF, microsoftAuth}},
	{"spf.strict", "SPF also passes where every empty answer is counted", "Some receivers find the SPF record broken",
		[]Rejection{{"Receivers with pyspf or Mail::SPF", "550 5.7.24 SPF validation error"}}},
	{"spf.all", "What the SPF record says of everybody else", "The SPF record lets everybody send", nil},
	{"spf.helo", "Our HELO name passes SPF", "The name our servers give is not confirmed by SPF",
		[]Rejection{strictSPF}},
	{"dkim.key", "The DKIM key is published and is ours", "The DKIM key is not in order",
		[]Rejection{gmailNoDKIM, microsoftAuth, yahooNoAuth}},
	{"dkim.sign", "A signed message verifies", "The message's signature does not hold (DKIM)",
		[]Rejection{gmailNoDKIM, microsoftAuth, yahooNoAuth}},
	{"dmarc.record", "The domain has a DMARC policy", "The DMARC policy is missing or incomplete",
		[]Rejection{gmailNoDMARC, microsoftAuth, yahooNoAuth}},
	{"dmarc.align", "From: agrees with what SPF and DKIM prove",
		"Nothing, or only one thing, proves the sender (DMARC)", []Rejection{gmailAlign, microsoftAuth, yahooNoAuth}},
	{"dmarc.rua", "Somebody gets the DMARC reports", "", nil},
	{"ptr.fcrdns", "Every address of ours has a name that leads back",
		"Our servers have no proper name in the DNS (PTR)", []Rejection{gmailPTR}},
	{"ip.v6", "IPv6 addresses are fit to send from", "Our IPv6 addresses are not fit to send from",
		[]Rejection{gmailPTR}},
	{"dnsbl", "Our addresses are on no block list", "Our servers are on a block list", []Rejection{microsoftList}},
	{"mx.return", "The envelope sender's domain takes bounces", "Bounces cannot come back", []Rejection{strictSPF}},
	{"tls.mtasts", "The client's own mail is protected by MTA-STS", "", nil},
	{"tls.rpt", "Somebody gets the reports on TLS", "", nil},
	{"unsub.header", "The message offers one-click unsubscribing", "The message offers no one-click unsubscribing",
		[]Rejection{gmailSpam, yahooSlow}},
	{"unsub.works", "One click unsubscribes, and a link scanner does not", "One-click unsubscribing does not work",
		[]Rejection{gmailSpam}},
	{"hdr.5322", "The message is well formed", "The message is malformed", []Rejection{gmailHeaders}},
	{"hdr.from", "The From: domain is real, and not a free mail provider's", "The From: domain cannot be used",
		[]Rejection{gmailNoAuth, yahooNoAuth}},
	{"hdr.merge", "Every merge field has a value for everybody", "A merge field has no value for somebody", nil},
	{"body.size", "The message is small enough", "The message is too large",
		[]Rejection{{"Most receivers", "552 5.3.4 message too big"}}},
	{"body.text", "There is plain text beside HTML, and its links are fit", "The message is built like spam",
		[]Rejection{gmailSpam}},
	{"rcpt.syntax", "The addresses are addresses", "Nobody is left to send to", nil},
	{"rcpt.dup", "Nobody is on the list twice", "", nil},
	{"rcpt.suppressed", "Who is never to be sent to", "", nil},
	{"rcpt.role", "No role accounts are on the list", "There are role accounts on the list", []Rejection{gmailSpam}},
	{"rcpt.nomx", "Every recipient domain exists and takes mail", "Some recipient domains do not exist", nil},
	{"rcpt.nullmx", "No recipient domain refuses all mail", "Some recipient domains refuse all mail", nil},
	{"mx.private", "Every recipient domain has a mail host that is dialled",
		"Some recipient domains have mail hosts that are not dialled", nil},
	{"rcpt.typo", "No recipient domain is misspelt", "Some recipient domains look misspelt", nil},
	{"rcpt.provider", "Who receives the mail", "", nil},
	{"rcpt.new", "The recipients are known", "Many recipients are new", []Rejection{gmailSpam, yahooSlow}},
	{"eta", "It is done in time", "It will not be done in time", nil},
	{"hist.bounce", "The client's last batches bounced little", "The client's last batches bounced too much",
		[]Rejection{gmailSpam, yahooSlow}},
	{"hist.complaint", "Few readers call the client's mail spam", "Too many readers call the client's mail spam",
		[]Rejection{gmailSpam, yahooSlow}},
	{"warmup", "The batch is no larger than receivers are used to", "The batch is larger than receivers are used to",
		[]Rejection{yahooSlow, {"Gmail", "421 4.7.28 unusual rate of mail from your domain"}}},
}, ruleRows()...)

// clientRows are those that need nothing but the DNS.
var clientRows = map[string]bool{
	"spf.pass": true, "spf.from": true, "spf.lookups": true, "spf.strict": true, "spf.all": true, "spf.helo": true,
	"dkim.key":     true,
	"dmarc.record": true, "dmarc.align": true, "dmarc.rua": true, "ptr.fcrdns": true, "ip.v6": true, "dnsbl": true,
	"mx.return": true, "tls.mtasts": true, "tls.rpt": true, "hdr.from": true,
}

// leftOut are the rows whose recipients get nothing, whatever is advised.
var leftOut = map[string]bool{"hdr.merge": true, "rcpt.nomx": true, "rcpt.nullmx": true, "mx.private": true}

// IDs lists the rows of a report in the order in which they are shown.
func IDs() []string {
	var ids []string
	for _, r := range rows {
		ids = append(ids, r.id)
	}
	return ids
}

func rowOf(id string) row {
	for _, r := range rows {
		if r.id == id {
			return r
		}
	}
	panic("preflight: no row " + id) // a misspelt id in a check
}
