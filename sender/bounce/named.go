package bounce

import (
	"strings"

	"enotify/sender/token"
)

// roles are local parts of addresses that replies tell people to write to. A
// reply is not about them.
var roles = []string{
	"postmaster", "abuse", "support", "help", "helpdesk", "hostmaster", "webmaster", "admin", "administrator",
	"contact", "security",
	"delist", "delisting", "removal", "unblock", "noc", "info", "it", "mail", "mailer-daemon", "mailmaster", "spam",
	"antispam", "feedback", "service", "servicedesk",
}

// The longest address of RFC 5321 §4.5.3.1, in octets. Longer text is no address.
const (
	maxLocal  = 64
	maxDomain = 255
)

// misnamed returns why a text is not about the recipient: it names an address or
// domain of ours, or another address, and the recipient nowhere. "" is that it
// may be about the recipient.
func (a *About) misnamed(text string) string {
	text = text[:min(len(text), maxText)]
	var ours, another bool
	for at := 0; ; {
		i := strings.IndexByte(text[at:], '@')
		if i < 0 {
			break
		}
		at += i
		local, domain := around(text, at)
		at++
		if local == "" || domain == "" {
			continue
		}
		switch {
		case a.Recipient != "" && sameMailbox(local, domain, a.Recipient):
			return ""
		case a.isOurs(local + "@" + domain):
			ours = true
		case a.Recipient != "" && !isRole(local):
			another = true
		}
	}
	switch {
	case ours:
		return "names-ours"
	case another:
		return "names-another"
	case a.namesOurDomain(text):
		return "names-our-domain"
	}
	return ""
}

// around returns the address that has its "@" at a place of a text.
func around(text string, at int) (local, domain string) {
	start := at
	for start > 0 && at-start < maxLocal && !delimiter(text[start-1]) && text[start-1] != '\'' && text[start-1] != '@' {
		start--
	}
	if at-start == maxLocal && start > 0 && !delimiter(text[start-1]) {
		return "", ""
	}
	end := at + 1
	for end < len(text) && end-at <= maxDomain &&
		(letter(text[end]) || digit(text[end]) || text[end] == '.' || text[end] == '-' || text[end] >= 0x80) {
		end++
	}
	return text[start:at], strings.TrimRight(text[at+1:end], ".-")
}

// SameMailbox reports whether an address as a receiver names it is the one that
// was written to.
func SameMailbox(named, recipient string) bool {
	cut := strings.LastIndexByte(named, '@')
	return cut > 0 && sameMailbox(strings.Trim(named[:cut], `"`), named[cut+1:], recipient)
}

// sameMailbox reports whether an address as a receiver names it is the one
// that was written to: letters may change case, a detail behind a "+" (RFC
// 5233) may be missing, and a host within the domain may be named in its place.
func sameMailbox(local, domain, recipient string) bool {
	cut := strings.LastIndexByte(recipient, '@')
	if cut < 0 {
		return false
	}
	wanted := strings.Trim(recipient[:cut], `"`)
	if plain, _, _ := strings.Cut(wanted, "+"); !strings.EqualFold(local, wanted) && !strings.EqualFold(local, plain) {
		return false
	}
	theirs := recipient[cut+1:]
	return strings.EqualFold(domain, theirs) || hasSuffixFold(domain, "."+theirs) || hasSuffixFold(theirs, "."+domain)
}

// isOurs reports whether an address is one of ours: known to be, or of the form
// that only our return paths have.
func (a *About) isOurs(address string) bool {
	for _, own := range a.Ours {
		if strings.EqualFold(own, address) {
			return true
		}
	}
	_, _, signed := token.Split(address)
	return signed && !strings.EqualFold(address, a.Recipient)
}

// namesOurDomain reports whether a text names a domain of ours, in which the
// recipient is not.
func (a *About) namesOurDomain(text string) bool {
	for _, own := range a.Ours {
		if _, domain, ok := strings.Cut(own, "@"); ok {
			own = domain
		}
		if own == "" || hasSuffixFold(a.Recipient, "@"+own) || hasSuffixFold(a.Recipient, "."+own) {
			continue
		}
		if at := indexFold(text, strings.ToLower(own)); at >= 0 && isBoundary(text, at-1) &&
			isBoundary(text, at+len(own)) {
			return true
		}
	}
	return false
}

// isBoundary reports whether no letter, digit or hyphen is at a place of a text.
func isBoundary(text string, at int) bool {
	return at < 0 || at >= len(text) || !letter(text[at]) && !digit(text[at]) && text[at] != '-'
}

func isRole(local string) bool {
	for _, r := range roles {
		if strings.EqualFold(local, r) {
			return true
		}
	}
	return false
}
