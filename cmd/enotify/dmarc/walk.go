package dmarc

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/net/publicsuffix"
)

// walkTargets are the names that the DNS Tree Walk asks for, without their
// _dmarc label: at most eight, however long the name (RFC 9989 §4.10).
func walkTargets(domain string) []string {
	labels := strings.Split(domain, ".")
	targets := []string{domain}
	if len(labels) > 8 {
		labels = labels[len(labels)-8:] // the next target has seven
	}
	for i := 1; i < len(labels); i++ {
		targets = append(targets, strings.Join(labels[i:], "."))
	}
	return targets
}

// Found is the record that one step of a walk found.
type Found struct {
	Domain string
	Record Record
}

// Walk asks for the records from domain up to the top. A record with psd=y
// or psd=n ends it. Several records at one name count as none. txt returns no
// records for a name that has none; its errors are temporary.
func Walk(ctx context.Context, domain string, txt func(ctx context.Context, name string) ([]string, error)) ([]Found,
	error) {
	var found []Found
	for _, target := range walkTargets(domain) {
		records, err := txt(ctx, "_dmarc."+target)
		if err != nil {
			return found, err
		}
		records = slices.DeleteFunc(slices.Clone(records), func(r string) bool { return !IsRecord(r) })
		if len(records) != 1 {
			continue
		}
		r, err := Parse(records[0])
		if err != nil {
			continue
		}
		found = append(found, Found{target, r})
		if r.PSD != "u" {
			break
		}
	}
	return found, nil
}

// Organizational is the Organizational Domain (RFC 9989 §4.10.2) that a walk
// from start tells. Where no record was found, the public suffix list decides,
// as it did in RFC 7489, which many receivers still follow.
func Organizational(start string, found []Found) string {
	for _, p := range found {
		switch {
		case p.Record.PSD == "n":
			return p.Domain
		case p.Record.PSD == "y" && p.Domain != start:
			return below(start, p.Domain)
		}
	}
	if len(found) > 0 {
		return found[len(found)-1].Domain
	}
	if registered, err := publicsuffix.EffectiveTLDPlusOne(start); err == nil {
		return registered
	}
	return start
}

// below is the ancestor of start, or start, that has one label more than suffix.
func below(start, suffix string) string {
	rest := strings.TrimSuffix(start, "."+suffix)
	return rest[strings.LastIndexByte(rest, '.')+1:] + "." + suffix
}

// Policy is the record that applies to mail from start (RFC 9989 §4.10.1): its
// own, else its Organizational Domain's, else the public suffix's.
func Policy(start string, found []Found) (Found, bool) {
	org := Organizational(start, found)
	for _, name := range []string{start, org} {
		if i := slices.IndexFunc(found, func(p Found) bool { return p.Domain == name }); i >= 0 {
			return found[i], true
		}
	}
	if i := slices.IndexFunc(found, func(p Found) bool { return p.Record.PSD == "y" }); i >= 0 {
		return found[i], true
	}
	return Found{}, false
}

// For is the policy for mail from a domain: none, quarantine or reject. exists
// is whether that domain is in the DNS. With t=y receivers apply one level less
// (RFC 9989 §4.7).
func (f Found) For(domain string, exists bool) string {
	policy := f.Record.Policy
	if !strings.EqualFold(domain, f.Domain) {
		policy = cmp.Or(f.Record.Subdomains, policy)
		if !exists {
			policy = cmp.Or(f.Record.NonExistent, policy)
		}
	}
	switch {
	case f.Record.Testing && policy == "reject":
		return "quarantine"
	case f.Record.Testing:
		return "none"
	}
	return policy
}

// Aligned reports whether an authenticated domain speaks for the From: domain
// (RFC 9989 §4.4): the same name, or, unless mode is strict, the same
// Organizational Domain.
func Aligned(from, authenticated, fromOrg, authenticatedOrg, mode string) bool {
	if strings.EqualFold(from, authenticated) {
		return true
	}
	return mode != "s" && fromOrg == authenticatedOrg
}

// ReportAuthorisation is the name at which the holder of a foreign address
// agrees to get a domain's reports (RFC 9990 §4).
func ReportAuthorisation(policyDomain, destination string) string {
	return fmt.Sprintf("%s._report._dmarc.%s", policyDomain, destination)
}
