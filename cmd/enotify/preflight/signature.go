package preflight

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/emersion/go-msgauth/dkim"
)

// checkSignature verifies a rendered message as a receiver does, by the keys
// that are published.
func checkSignature(ctx context.Context, in *Input) []Finding {
	f := Finding{ID: "dkim.sign", Severity: NotChecked}
	switch {
	case in.KeyTrouble != nil:
		f.Found = "The key cannot be read; see dkim.key."
		return []Finding{f}
	case in.Keys == nil:
		f.Found = "The keys that sign are not known here, so the message could not be signed."
		f.Advice = "Name the one that enotify run has: --dkim-dir DIR."
		return []Finding{f}
	case len(in.Keys) == 0:
		f.Found = "The mail is not signed; see dkim.key."
		return []Finding{f}
	case in.KeysRemote:
		f.Found = "The private keys are with the nodes, so the message could not be signed here; dkim.key compares what they sign with and what is published."
		return []Finding{f}
	case in.Rendering.Sample == nil:
		f.Found = refusedWhat
		return []Finding{f}
	}
	var temporary error
	signatures, err := dkim.VerifyWithOptions(bytes.NewReader(in.Rendering.Sample), &dkim.VerifyOptions{
		LookupTXT: func(name string) ([]string, error) {
			records, err := in.txt(ctx, strings.TrimSuffix(name, "."))
			if err != nil {
				temporary = err
			}
			return records, err
		},
		MaxVerifications: 10,
	})
	switch {
	case temporary != nil:
		return []Finding{unsure(f.ID, temporary)}
	case err != nil:
		f.Severity, f.Found = Block, fmt.Sprintf("The signature cannot be read: %v.", err)
		return []Finding{f}
	case len(signatures) == 0:
		f.Severity, f.Found = Block, "The message bears no signature, though there is a key."
		return []Finding{f}
	}
	p, err := readMessage(in.Rendering.Sample)
	if err != nil {
		f.Found = refusedWhat
		return []Finding{f}
	}
	return []Finding{signatureFinding(f, signatures, p)}
}

// covered are the fields that a signature must protect (RFC 8058 §4), where
// the message has them.
var covered = []string{"From", "Subject", "Date", "Message-Id", "List-Unsubscribe", "List-Unsubscribe-Post"}

func signatureFinding(f Finding, signatures []*dkim.Verification, p parsed) Finding {
	f.Severity = Pass
	good := 0
	for _, s := range signatures {
		if s.Err != nil {
			f.Severity = Warn
			f.Evidence = append(f.Evidence, fmt.Sprintf("d=%s: %v", s.Domain, s.Err))
			continue
		}
		good++
		f.Evidence = append(f.Evidence, fmt.Sprintf("d=%s: verifies, over %s", s.Domain,
			strings.Join(s.HeaderKeys, ", ")))
		for _, name := range covered {
			if p.header.Get(name) != "" &&
				!slices.ContainsFunc(s.HeaderKeys, func(k string) bool { return strings.EqualFold(k, name) }) {
				f.Severity = Warn
				f.Evidence = append(f.Evidence, fmt.Sprintf("d=%s does not cover %s", s.Domain, name))
			}
		}
	}
	switch {
	case good == 0:
		f.Severity = Block
		f.Found = "No signature of the message holds against the key that is published."
		f.Advice = "Publish the key that we sign with; dkim.key shows the line."
	case f.Severity == Warn:
		f.Found = "A signature holds, but not all of them, or not over all fields."
	default:
		f.Found = fmt.Sprintf("%s by the published key.",
			map[bool]string{true: "The signature verifies", false: "The signatures verify"}[good == 1])
	}
	return f
}
