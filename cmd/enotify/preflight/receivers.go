package preflight

// A need is something that a receiver asks of a sender.
type need string

const (
	needSPF         need = "SPF passes for the envelope sender"
	needDKIM        need = "a DKIM signature of the From: domain"
	needEither      need = "SPF or DKIM passes"
	needDMARC       need = "a DMARC record of the From: domain"
	needAligned     need = "SPF or DKIM proves the From: domain (DMARC alignment)"
	needPTR         need = "every address of ours has a name that leads back to it"
	needOwnPTR      need = "the name of our address is our own, not one that the network made of its number"
	needOneClick    need = "one-click unsubscribing (RFC 8058)"
	needFewComplain need = "under 0.3 % of the messages called spam"
)

// A receiver is a mail provider and what it asks, as its own pages say.
type receiver struct {
	id      string // of the row
	who     string
	sites   []string // that it is known by in the queue
	domains []string // of its mailboxes
	page    string   // where it says so
	read    string   // when that was read, or what the page is dated
	rules   []rule
}

// A rule is what happens to mail for want of something.
type rule struct {
	need     need
	bulk     bool // asked only of who sends 5,000 messages a day to it
	severity Severity
	reply    string // "" where none is published
}

// receivers are the providers with rules of their own that a program can look at.
// Libero and Virgilio publish none.
var receivers = []receiver{
	{
		// not the customers of Workspace
		id: "rule.google", who: "Gmail", domains: []string{"gmail.com", "googlemail.com"},
		page: "support.google.com/a/answer/81126 and /14229414", read: "2026-11",
		rules: []rule{
			{needEither, false, Block, "550 5.7.26 this mail has been blocked because the sender is unauthenticated"},
			{needPTR, false, Block, "550 5.7.25 the sending IP address has no PTR record, or it does not resolve back"},
			{needSPF, true, Block, "421 4.7.27, later 550 5.7.27: SPF did not pass"},
			{needDKIM, true, Block, "421 4.7.30, later 550 5.7.30: DKIM did not pass"},
			{needDMARC, true, Block, "421 4.7.31: no DMARC record, or one without a policy"},
			{needAligned, true, Block, "421 4.7.32: the From: domain is aligned with neither SPF nor DKIM"},
			{needOneClick, true, Warn, ""},
			{needFewComplain, true, Block, "550 5.7.1 likely unsolicited mail"},
		},
	},
	{
		id: "rule.yahoo", who: "Yahoo", sites: []string{"yahoo"},
		domains: []string{"yahoo.com", "aol.com", "ymail.com", "rocketmail.com"},
		page:    "senders.yahooinc.com/best-practices", read: "2025",
		rules: []rule{
			{needEither, false, Block, "554 5.7.9 message not accepted for policy reasons"},
			{needPTR, false, Warn, ""},
			{needSPF, true, Block, "554 5.7.9 message not accepted for policy reasons"},
			{needDKIM, true, Block, "554 5.7.9 message not accepted for policy reasons"},
			{needDMARC, true, Block, "554 5.7.9 message not accepted for policy reasons"},
			{needAligned, true, Block, "554 5.7.9 message not accepted for policy reasons"},
			{needOneClick, true, Warn, ""},
			{needFewComplain, true, Block, "421 4.7.0 [TSS04] temporarily deferred due to user complaints"},
		},
	},
	{
		id: "rule.microsoft", who: "Outlook.com", sites: []string{"outlook"},
		domains: []string{"outlook.com", "hotmail.com", "live.com", "msn.com"},
		page:    "support.microsoft.com: Fix NDR error 550 5.7.515", read: "2026-11, in force since 2025-05-05",
		rules: []rule{
			{needSPF, true, Block, microsoftAuth.Reply},
			{needDKIM, true, Block, microsoftAuth.Reply},
			{needDMARC, true, Block, microsoftAuth.Reply},
			{needAligned, true, Block, microsoftAuth.Reply},
		},
	},
	{
		id: "rule.gmx", who: "GMX and WEB.DE", sites: []string{"gmx"},
		domains: []string{"gmx.de", "gmx.net", "gmx.at", "gmx.ch", "web.de"},
		page:    "postmaster.gmx.net/en/best-practices and /email-policy", read: "2026-11",
		rules: []rule{
			{needDKIM, false, Block, ""},
			{needPTR, false, Block, "554 no SMTP service: bad DNS PTR resource record"},
			{needOwnPTR, false, Block, "554 no SMTP service: bad DNS PTR resource record"},
			{needOneClick, true, Warn, ""},
		},
	},
	{
		id: "rule.apple", who: "iCloud Mail", sites: []string{"apple"},
		domains: []string{"icloud.com", "me.com", "mac.com"},
		page:    "support.apple.com/102322", read: "dated 2025-02-25; by a digest of 2026-06",
		rules: []rule{{needSPF, false, Warn, ""}, {needDKIM, false, Warn, ""}, {needDMARC, false, Warn, ""},
			{needPTR, false, Warn, ""}},
	},
	{
		id: "rule.orange", who: "Orange", sites: []string{"orange"}, domains: []string{"orange.fr", "wanadoo.fr"},
		page: "postmaster.orange.fr", read: "dated 2026-05-15; by a digest of 2026-06",
		rules: []rule{
			{needSPF, false, Block, "OFR_5xx, authentication failed"},
			{needDKIM, false, Block, "OFR_535, no DKIM signature"},
			{needDMARC, false, Block, "OFR_5xx, authentication failed"},
			{needPTR, false, Block, "OFR_107, the PTR record does not lead back to the address"},
		},
	},
	{
		id: "rule.tonline", who: "T-Online", sites: []string{"t-online.de"},
		domains: []string{"t-online.de", "magenta.de"},
		page:    "postmaster.t-online.de, section 4.1", read: "by guides of hosting companies, 2026-11",
		rules: []rule{
			{needPTR, false, Block, "554 IP=… None/bad reputation. Ask your postmaster for help (NOWL)"},
			{needOwnPTR, false, Block, "554 IP=… Dialup/transient IP not allowed (DIAL)"},
		},
	},
	{
		id: "rule.mailru", who: "Mail.ru", sites: []string{"mail.ru"},
		domains: []string{"mail.ru", "bk.ru", "inbox.ru", "list.ru"},
		page:    "habr.com/company/mailru/blog/239963", read: "2026-11, dated 2014-10-13",
		rules: []rule{{needAligned, false, Warn, ""}, {needPTR, false, Warn, ""}},
	},
	{
		id: "rule.naver", who: "Naver", sites: []string{"naver.com"}, domains: []string{"naver.com"},
		page: "Naver's notice on sending domains, quoted at blog.thundermail.co.kr/422",
		read: "2026-11, dated 2024-07-19",
		rules: []rule{{needSPF, false, Warn, ""}, {needDKIM, false, Warn, ""}, {needDMARC, true, Warn, ""},
			{needPTR, false, Warn, ""}},
	},
}

// ruleRows are the rows of the receivers.
func ruleRows() (all []row) {
	for _, r := range receivers {
		all = append(all, row{id: r.id, title: r.who + " takes this mail, by the rules that it publishes",
			trouble: "What " + r.who + " asks of senders is missing"})
	}
	return all
}
