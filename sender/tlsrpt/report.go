package tlsrpt

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// MediaType is that of a report as it is sent (RFC 8460 §6.4).
const MediaType = "application/tlsrpt+gzip"

// A Sender is who reports.
type Sender struct {
	Address string // of the reports; its domain signs them
}

// Domain is that of the address, which names the submitter.
func (s Sender) Domain() string { return s.Address[strings.LastIndexByte(s.Address, '@')+1:] }

// A Report is what one day was like for one recipient domain (RFC 8460 §4).
type Report struct {
	Sender Sender    `json:"-"`
	Domain string    `json:"-"` // recipient domain
	Day    time.Time `json:"-"` // at 00:00 UTC

	Organization string   `json:"organization-name"`
	Range        span     `json:"date-range"`
	Contact      string   `json:"contact-info"`
	ID           string   `json:"report-id"`
	Policies     []result `json:"policies"`
}

type span struct {
	Start time.Time `json:"start-datetime"`
	End   time.Time `json:"end-datetime"`
}

// A result counts the sessions under one policy.
type result struct {
	Policy  Policy `json:"policy"`
	Summary struct {
		Successful int64 `json:"total-successful-session-count"`
		Failed     int64 `json:"total-failure-session-count"`
	} `json:"summary"`
	Failures []Failure `json:"failure-details,omitempty"`
}

// NewReport makes the report of a day from its counts. Installation keeps the
// identifiers of two senders apart; that of a report is always the same, so a
// receiver who gets it twice can tell.
func NewReport(from Sender, installation, domain string, day time.Time, counts []Count) (*Report, error) {
	r := &Report{
		Sender: from, Domain: domain, Day: day,
		Organization: from.Domain(), Contact: from.Address,
		Range: span{day, day.Add(24*time.Hour - time.Second)},
		ID:    fmt.Sprintf("%s.%s.%s@%s", day.Format(time.DateOnly), domain, installation, from.Domain()),
	}
	slices.SortFunc(counts, func(a, b Count) int { return bytes.Compare(a.Shape[:], b.Shape[:]) })
	at := map[string]int{}
	for _, c := range counts {
		i, known := at[string(c.Policy)]
		if !known {
			i = len(r.Policies)
			at[string(c.Policy)] = i
			var p result
			if err := json.Unmarshal(c.Policy, &p.Policy); err != nil {
				return nil, fmt.Errorf("TLS results of %s on %s: %w", domain, day.Format(time.DateOnly), err)
			}
			r.Policies = append(r.Policies, p)
		}
		p := &r.Policies[i]
		if c.Failure == nil {
			p.Summary.Successful += c.Sessions
			continue
		}
		var f Failure
		if err := json.Unmarshal(c.Failure, &f); err != nil {
			return nil, fmt.Errorf("TLS results of %s on %s: %w", domain, day.Format(time.DateOnly), err)
		}
		f.Sessions = c.Sessions
		p.Summary.Failed += c.Sessions
		p.Failures = append(p.Failures, f)
	}
	return r, nil
}

// Gzip is the report as it is sent.
func (r *Report) Gzip() ([]byte, error) {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if err := json.NewEncoder(w).Encode(r); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// Filename is the name of the attached file (RFC 8460 §5.1).
func (r *Report) Filename() string {
	return fmt.Sprintf("%s!%s!%d!%d!001.json.gz", r.Sender.Domain(), r.Domain, r.Range.Start.Unix(), r.Range.End.Unix())
}

// Subject is that of the mail (RFC 8460 §5.3).
func (r *Report) Subject() string {
	return fmt.Sprintf("Report Domain: %s Submitter: %s Report-ID: <%s>", r.Domain, r.Sender.Domain(), r.ID)
}

// Headers are the fields by which the mail is told from others (RFC 8460 §5.3).
func (r *Report) Headers() map[string]string {
	return map[string]string{"TLS-Report-Domain": r.Domain, "TLS-Report-Submitter": r.Sender.Domain()}
}

// Text is the report for people, which the mail begins with.
func (r *Report) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "This is a report on the encryption of mail to %s on %s (UTC), by RFC 8460.\n", r.Domain,
		r.Day.Format(time.DateOnly))
	fmt.Fprintf(&b, "The attached file has the details.\n\n")
	for _, p := range r.Policies {
		fmt.Fprintf(&b, "Policy %s of %s: %d connections met it, %d did not.\n", p.Policy.Type, p.Policy.Domain,
			p.Summary.Successful, p.Summary.Failed)
		for _, f := range p.Failures {
			fmt.Fprintf(&b, "  %s at %s: %d\n", f.Type, f.MX, f.Sessions)
		}
	}
	fmt.Fprintf(&b, "\nSent by %s.\n", r.Sender.Address)
	return b.String()
}
