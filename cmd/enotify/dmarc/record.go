// Package dmarc finds and reads DMARC records as receivers do (RFC 9989): the DNS
// Tree Walk, the Organizational Domain, the policy that applies, alignment.
package dmarc

import (
	"errors"
	"fmt"
	"strings"
)

// A Record is a DMARC Policy Record (RFC 9989 §4.7).
type Record struct {
	Text   string
	Policy string // none, quarantine or reject
	// Stated is whether the record has a valid p; else Policy follows from
	// RFC 9989 §4.7, which reads a missing or broken p as none.
	Stated      bool
	Subdomains  string   // sp: the policy for subdomains; "" is Policy
	NonExistent string   // np: the policy for subdomains that do not exist; "" is that for subdomains
	Testing     bool     // t=y: receivers apply one policy level less
	SPF         string   // aspf: r relaxed, s strict
	DKIM        string   // adkim: the same
	PSD         string   // y, n or u
	RUA         []string // where aggregate reports are to go, URIs
	Faults      []string // tags that receivers ignore
}

// ErrNoRecord is the error for a text that is not meant as a DMARC record.
var ErrNoRecord = errors.New("no DMARC record")

// IsRecord reports whether a TXT record is meant as one: its first tag is
// v=DMARC1, exactly so.
func IsRecord(text string) bool {
	first, _, _ := strings.Cut(text, ";")
	name, value, ok := strings.Cut(first, "=")
	return ok && strings.TrimSpace(name) == "v" && strings.TrimSpace(value) == "DMARC1"
}

// Parse reads a record. Unknown tags are ignored, as receivers do.
func Parse(text string) (Record, error) {
	r := Record{Text: text, SPF: "r", DKIM: "r", PSD: "u"}
	if !IsRecord(text) {
		return r, ErrNoRecord
	}
	seen := map[string]bool{}
	for part := range strings.SplitSeq(text, ";") {
		if strings.TrimSpace(part) == "" {
			continue
		}
		name, value, ok := strings.Cut(part, "=")
		name, value = strings.ToLower(strings.TrimSpace(name)), strings.TrimSpace(value)
		if !ok {
			r.Faults = append(r.Faults, fmt.Sprintf("%q has no =", strings.TrimSpace(part)))
			continue
		}
		if seen[name] {
			r.Faults = append(r.Faults, fmt.Sprintf("the tag %s is there twice", name))
			continue
		}
		seen[name] = true
		r.tag(name, value)
	}
	if !r.Stated {
		r.Policy = "none"
	}
	return r, nil
}

func (r *Record) tag(name, value string) {
	one := func(to *string, of ...string) {
		for _, v := range of {
			if strings.EqualFold(v, value) {
				*to = v
				return
			}
		}
		r.Faults = append(r.Faults, fmt.Sprintf("%s=%s is none of %s", name, value, strings.Join(of, ", ")))
	}
	switch name {
	case "p":
		one(&r.Policy, "none", "quarantine", "reject")
		r.Stated = r.Policy != ""
	case "aspf":
		one(&r.SPF, "r", "s")
	case "adkim":
		one(&r.DKIM, "r", "s")
	case "psd":
		one(&r.PSD, "y", "n", "u")
	case "sp":
		one(&r.Subdomains, "none", "quarantine", "reject")
	case "np":
		one(&r.NonExistent, "none", "quarantine", "reject")
	case "t":
		testing := "n"
		one(&testing, "y", "n")
		r.Testing = testing == "y"
	case "pct", "rf", "ri":
		r.Faults = append(r.Faults, name+" is no longer a DMARC tag (RFC 9989): newer receivers ignore it; take it out"+
			map[bool]string{true: ", and write t=y for a policy that is only tried"}[name == "pct"])
	case "rua":
		for uri := range strings.SplitSeq(value, ",") {
			// A size limit behind ! is of RFC 7489; RFC 9989 ignores it.
			uri, _, _ = strings.Cut(strings.TrimSpace(uri), "!")
			if uri != "" {
				r.RUA = append(r.RUA, uri)
			}
		}
	}
}
