package tlsrpt

import (
	"net/mail"
	"net/url"
	"strings"
)

// A Destination is where a domain wants its reports: one of its fields.
type Destination struct {
	Mail string // an address
	Page string // an https URL to post to
}

// maxDestinations of a record get a report: a record must not make us send to
// many.
const maxDestinations = 4

// Destinations reads the TXT records of _smtp._tls.DOMAIN (RFC 8460 §3). Where not
// exactly one of them is of TLS-RPT, the domain asks for no reports.
func Destinations(records []string) []Destination {
	fields, found := "", 0
	for _, text := range records {
		version, rest, _ := strings.Cut(text, ";")
		if strings.TrimRight(version, " \t") == "v=TLSRPTv1" {
			fields = rest
			found++
		}
	}
	if found != 1 {
		return nil
	}
	var all []Destination
	for _, field := range strings.Split(fields, ";") {
		name, value, _ := strings.Cut(field, "=")
		if strings.Trim(name, " \t") != "rua" {
			continue
		}
		for _, uri := range strings.Split(value, ",") {
			if d, ok := destination(strings.Trim(uri, " \t")); ok && len(all) < maxDestinations {
				all = append(all, d)
			}
		}
	}
	return all
}

func destination(uri string) (Destination, bool) {
	u, err := url.Parse(uri)
	if err != nil {
		return Destination{}, false
	}
	switch u.Scheme {
	case "mailto":
		address, err := url.PathUnescape(u.Opaque)
		if err != nil {
			return Destination{}, false
		}
		a, err := mail.ParseAddress(address)
		return Destination{Mail: address}, err == nil && a.Address == address
	case "https":
		return Destination{Page: u.String()}, u.Hostname() != "" && u.User == nil
	}
	return Destination{}, false
}
