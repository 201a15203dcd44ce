package dkim

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// oversigned are fields that are named in h= once more than they are there, so
// that nobody on the way can add another (RFC 6376 §8.15); one that is missing
// cannot be added at all. The List- fields are what RFC 8058 §4 wants covered.
// All others that a message has are covered too, CFBL-Address among them (RFC
// 9477 §3.1).
var oversigned = []string{
	"from", "reply-to", "subject", "date", "message-id", "to", "cc", "mime-version",
	"content-type", "content-transfer-encoding", "list-unsubscribe", "list-unsubscribe-post",
}

// Sign returns the DKIM-Signature field, CRLF included, for a message of the
// given header, whose lines end in CRLF, and body, whose hash it takes
// by HashBody.
func (k *Key) Sign(header []byte, body [sha256.Size]byte, now time.Time) ([]byte, error) {
	fields := parseHeader(header)
	var input []byte // RFC 6376 §3.7
	var names []byte
	cover := func(name string) {
		for _, f := range slices.Backward(fields) { // of several, the last first (§5.4.2)
			if f.name == name {
				input = append(append(input, f.canonical...), "\r\n"...)
				names = append(append(names, name...), ':')
			}
		}
	}
	for _, name := range oversigned {
		cover(name)
		names = append(append(names, name...), ':')
	}
	for i, f := range fields {
		first := !slices.ContainsFunc(fields[:i], func(before field) bool { return before.name == f.name })
		if first && !slices.Contains(oversigned, f.name) {
			cover(f.name)
		}
	}
	signature := k.unsigned(names[:len(names)-1], body, now)
	digest := sha256.Sum256(append(input, newField(signature).canonical...))
	var hash crypto.Hash // none: PureEdDSA signs the digest as a message (RFC 8463 §3)
	if k.Type() == RSA {
		hash = crypto.SHA256
	}
	b, err := k.private.Sign(rand.Reader, digest[:], hash)
	if err != nil {
		return nil, fmt.Errorf("DKIM signature of %s, selector %s: %w", k.Domain, k.Selector, err)
	}
	return append(fold(signature, base64.StdEncoding.AppendEncode(nil, b)), "\r\n"...), nil
}

// unsigned is the field without the signature, which comes at its very end.
func (k *Key) unsigned(names []byte, body [sha256.Size]byte, now time.Time) []byte {
	b := append(make([]byte, 0, 1024), "DKIM-Signature: v=1; a="...)
	b = append(b, k.Type()...)
	b = append(b, "-sha256; c=relaxed/relaxed; t="...)
	b = strconv.AppendInt(b, now.Unix(), 10)
	b = append(b, ";\r\n d="...)
	b = append(b, k.Domain...)
	b = append(b, ";\r\n s="...)
	b = append(b, k.Selector...)
	b = append(b, ";\r\n h="...)
	b = foldNames(b, names)
	b = append(b, ";\r\n bh="...)
	b = base64.StdEncoding.AppendEncode(b, body[:])
	return append(b, ";\r\n b="...)
}

const width = 72 // octets of a line of the field, where it can be folded

// foldNames breaks the list h= before a colon, where white space may stand
// (RFC 6376 §3.5).
func foldNames(b, names []byte) []byte {
	line := len(" h=")
	for i, name := range bytes.Split(names, []byte{':'}) {
		if i > 0 {
			if line+len(name)+1 > width {
				b = append(b, "\r\n "...)
				line = 1
			}
			b = append(b, ':')
			line++
		}
		b = append(b, name...)
		line += len(name)
	}
	return b
}

// fold appends base64 text, broken wherever that suits.
func fold(b, text []byte) []byte {
	room := width - len(" b=")
	for len(text) > room {
		b = append(append(b, text[:room]...), "\r\n "...)
		text, room = text[room:], width-1
	}
	return append(b, text...)
}
