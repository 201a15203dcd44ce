// Package token makes and reads signed names for one recipient of a batch.
// They stand in return paths (VERP) and in the addresses for complaints, so that
// a report tells whom it is about whatever its text says, and in unsubscribe
// addresses, so that nobody can unsubscribe somebody else.
//
// A token is <key>-<name>-<mac>: the key that signed it, batch and number of
// the recipient, and 80 bits of HMAC-SHA256 (RFC 2104 §5 lets one truncate to
// no less), all in lower-case base32 (RFC 4648 §6) without padding. It needs no
// record of its own, is the same on every try, and is at most 48 octets long,
// so that a local part (RFC 5321 §4.5.3.1.1: 64 octets) has room for it.
package token

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
)

// A Purpose is what a token is good for. One for a bounce does not unsubscribe.
type Purpose string

const (
	Bounce      Purpose = "b" // a return path
	Unsubscribe Purpose = "u" // List-Unsubscribe, RFC 8058
	Complaint   Purpose = "c" // CFBL-Address, RFC 9477
)

// A Key signs tokens.
type Key struct {
	ID     string // 1 to 4 of a-z and 0-9
	Secret []byte // at least 32 octets
}

// Keys verify tokens; the first signs. A key is rotated by putting a new one in
// front of it, and dropped when nothing that it signed is on its way any more.
type Keys []Key

// A Subject is the recipient that a token names.
type Subject struct {
	Batch int64 // not negative
	Seq   int32 // not negative
}

// What is wrong with a token that Open refuses.
var (
	ErrMalformed  = errors.New("not a token")
	ErrUnknownKey = errors.New("token of an unknown key")
	ErrForged     = errors.New("token with a wrong signature")
)

// Refused reports whether an error says that a token is none of ours, and not
// that the keys could not be read.
func Refused(err error) bool {
	return errors.Is(err, ErrMalformed) || errors.Is(err, ErrUnknownKey) || errors.Is(err, ErrForged)
}

const macOctets = 10

var encoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// Mint returns the token of s. It panics without a key: a caller without one must
// not ask.
func (k Keys) Mint(purpose Purpose, s Subject) string { return k[0].mint(purpose, s) }

func (k Key) mint(purpose Purpose, s Subject) string {
	name := binary.AppendUvarint(nil, uint64(s.Batch))
	name = binary.AppendUvarint(name, uint64(s.Seq))
	mac := hmac.New(sha256.New, k.Secret)
	fmt.Fprintf(mac, "%s-%s-%s", purpose, k.ID, name)
	return k.ID + "-" + encoding.EncodeToString(name) + "-" + encoding.EncodeToString(mac.Sum(nil)[:macOctets])
}

// Open returns the recipient that a token names. The case of letters does not matter, since
// some hosts change it in local parts. The error is ErrMalformed, ErrUnknownKey
// or ErrForged.
func (k Keys) Open(purpose Purpose, text string) (Subject, error) {
	text = strings.ToLower(text)
	parts := strings.Split(text, "-")
	if len(parts) != 3 {
		return Subject{}, ErrMalformed
	}
	s, ok := named(parts[1])
	if !ok {
		return Subject{}, ErrMalformed
	}
	for _, key := range k {
		if key.ID != parts[0] {
			continue
		}
		// All of it is compared: another spelling of the same name is no token.
		if !hmac.Equal([]byte(key.mint(purpose, s)), []byte(text)) {
			return Subject{}, ErrForged
		}
		return s, nil
	}
	return Subject{}, ErrUnknownKey
}

func named(text string) (Subject, bool) {
	name, err := encoding.DecodeString(text)
	if err != nil {
		return Subject{}, false
	}
	batch, n := binary.Uvarint(name)
	if n <= 0 || batch > math.MaxInt64 {
		return Subject{}, false
	}
	seq, m := binary.Uvarint(name[n:])
	if m <= 0 || n+m != len(name) || seq > math.MaxInt32 {
		return Subject{}, false
	}
	return Subject{Batch: int64(batch), Seq: int32(seq)}, true
}
