package compose

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"enotify/queue"
)

// Limits of the fields that an application gives its messages. SQL has the same.
const (
	maxFields     = 20
	maxFieldName  = 60  // characters
	maxFieldValue = 900 // characters, merge fields filled
)

// taken are the fields that are ours to write, or that only a receiver may.
var taken = map[string]bool{
	"from": true, "sender": true, "to": true, "cc": true, "bcc": true, "reply-to": true, "subject": true, "date": true,
	"message-id":   true,
	"mime-version": true, "return-path": true, "received": true, "delivered-to": true, "auto-submitted": true,
	"precedence":       true,
	"list-unsubscribe": true, "list-unsubscribe-post": true, "feedback-id": true, "cfbl-address": true,
	"cfbl-feedback-id": true,
	"dkim-signature":   true, "domainkey-signature": true, "authentication-results": true, "received-spf": true,
}

// takenPrefixes begin the names of further such fields.
var takenPrefixes = []string{"content-", "resent-", "arc-", "dkim-", "x-enotify-"}

// CheckFieldName reports why an application may not give its messages a field
// of that name.
func CheckFieldName(name string) error {
	lower := strings.ToLower(name)
	switch {
	case name == "" || len(name) > maxFieldName:
		return fmt.Errorf("a header field has a name of %d characters, where 1 to %d are allowed", len(name),
			maxFieldName)
	case strings.Trim(lower, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" || lower[0] < 'a' || lower[0] > 'z':
		return fmt.Errorf("%q is no name of a header field: a letter, then letters, digits and hyphens", name)
	case taken[lower]:
		return fmt.Errorf("the header field %s is written by enotify", name)
	}
	for _, p := range takenPrefixes {
		if strings.HasPrefix(lower, p) {
			return fmt.Errorf("the header field %s is written by enotify, as all that begin with %s", name, p)
		}
	}
	return nil
}

// checkFieldValue reports why a field cannot have a value.
func checkFieldValue(name, value string) error {
	switch {
	case strings.ContainsFunc(value, unicode.IsControl):
		return fmt.Errorf("the header field %s holds a line break or other control character", name)
	case strings.TrimSpace(value) == "":
		return fmt.Errorf("the header field %s is empty", name)
	case utf8.RuneCountInString(value) > maxFieldValue:
		return fmt.Errorf("the header field %s has %d characters, where %d are allowed", name,
			utf8.RuneCountInString(value), maxFieldValue)
	}
	return nil
}

// A mergedField is one of an application's fields that holds merge fields.
type mergedField struct {
	name  string
	value *part
}

// appendOwn appends the application's fields that are the same for all, and
// returns the others.
func appendOwn(h []byte, fields []queue.Header) ([]byte, []mergedField, error) {
	var merged []mergedField
	if len(fields) > maxFields {
		return h, nil, fmt.Errorf("%d header fields, where a message may have %d of its own", len(fields), maxFields)
	}
	for _, f := range fields {
		if err := CheckFieldName(f.Name); err != nil {
			return h, nil, err
		}
		p, err := newPart("header field "+f.Name, f.Value, false)
		if err != nil {
			return h, nil, err
		}
		if p.holes() > 0 {
			merged = append(merged, mergedField{f.Name, p})
			continue
		}
		if err := checkFieldValue(f.Name, p.literals[0]); err != nil {
			return h, nil, err
		}
		h = appendText(h, f.Name, p.literals[0])
	}
	return h, merged, nil
}

// appendListID names the list that a client's mail is (RFC 2919), unless the
// application has one of its own.
func appendListID(h []byte, b *queue.Batch) []byte {
	if b.TLSReport { // to a machine
		return h
	}
	for _, f := range b.Headers {
		if strings.EqualFold(f.Name, "List-Id") {
			return h
		}
	}
	return appendMailbox(h, "List-Id", b.FromName, listLabel+b.Client)
}

// listLabel begins the names of lists, which lie in the client's domain (RFC
// 2919 §3).
const listLabel = "notify."
