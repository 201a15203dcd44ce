package token

import "strings"

// Address returns the mail address of a token at a domain: b-<token>@domain,
// u-<token>@domain to unsubscribe, c-<token>@domain to complain. Its local part has at most 50 octets.
func (k Keys) Address(p Purpose, s Subject, domain string) string {
	return string(p) + "-" + k.Mint(p, s) + "@" + domain
}

// Split takes an address apart that Address may have made, whatever its
// domain. It does not look at the signature; Open does.
func Split(address string) (p Purpose, text string, ok bool) {
	local := address
	if at := strings.LastIndexByte(address, '@'); at >= 0 {
		local = address[:at]
	}
	head, text, ok := strings.Cut(local, "-")
	switch p = Purpose(strings.ToLower(head)); p {
	case Bounce, Unsubscribe, Complaint:
		return p, text, ok && strings.Count(text, "-") == 2
	}
	return "", "", false
}
