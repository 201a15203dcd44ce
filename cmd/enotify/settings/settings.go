// Package settings reads values that several verbs take. Its errors name the flag
// and exit with [exit.Usage].
package settings

import (
	"net"
	"net/netip"
	"net/url"
	"strings"

	"enotify/cmd/enotify/exit"
)

// Domain reads a domain name, in lower case and without a dot at its end; "" is
// none.
func Domain(flag, name string) (string, error) {
	if name == "" {
		return "", nil
	}
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	if len(name) > 189 || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789.-_") != "" ||
		!strings.Contains(name, ".") {
		return "", exit.Usagef("%s %s: want a domain name, as in mail.host.example", flag, name)
	}
	return name, nil
}

// Addresses reads IP addresses.
func Addresses(flag string, texts []string) ([]netip.Addr, error) {
	var addrs []netip.Addr
	for _, text := range texts {
		addr, err := netip.ParseAddr(strings.TrimSpace(text))
		if err != nil || addr.Zone() != "" {
			return nil, exit.Usagef("%s %s: not an IP address", flag, text)
		}
		addrs = append(addrs, addr.Unmap())
	}
	return addrs, nil
}

// Networks reads networks, as 10.0.0.0/8, or addresses.
func Networks(flag string, texts []string) ([]netip.Prefix, error) {
	var networks []netip.Prefix
	for _, text := range texts {
		text = strings.TrimSpace(text)
		network, err := netip.ParsePrefix(text)
		if addr, isAddr := netip.ParseAddr(text); isAddr == nil && addr.Zone() == "" {
			network, err = addr.Unmap().Prefix(addr.Unmap().BitLen())
		}
		if err != nil {
			return nil, exit.Usagef("%s %s: want networks, such as 10.0.0.0/8", flag, text)
		}
		networks = append(networks, network.Masked())
	}
	return networks, nil
}

// HostPort checks an address that is HOST:PORT; "" is none.
func HostPort(flag, text string) error {
	if text == "" {
		return nil
	}
	if _, _, err := net.SplitHostPort(text); err != nil {
		return exit.Usagef("%s %s: want HOST:PORT", flag, text)
	}
	return nil
}

// FeedbackID checks our name in Feedback-ID, which Gmail wants to have 5 to 15
// characters.
func FeedbackID(flag, name string) error {
	if len(name) < 5 || len(name) > 15 ||
		strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") != "" {
		return exit.Usagef("%s %s: want 5 to 15 letters and digits, always the same", flag, name)
	}
	return nil
}

// PublicURL reads the URL at which readers reach the unsubscribe page: RFC 8058
// §3.1 wants https. "" is none.
func PublicURL(text string) (string, error) {
	if text == "" {
		return "", nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil ||
		len(text) > 200 || strings.ContainsAny(text, "<> ,\"\\") {
		return "", exit.Usagef("--public-url %s: want https://HOST, perhaps with a path, of at most 200 characters",
			text)
	}
	return strings.TrimRight(text, "/"), nil
}
