// Package messageid writes and reads the Message-ID (RFC 5322 §3.6.4) of our
// messages. It is made of the batch and the recipient's number in it, and so
// the same on every try: a second copy can be known as one, and mail that comes
// back with it says which message it is about.
package messageid

import (
	"regexp"
	"strconv"
	"time"
)

// An ID is what a Message-ID of ours says. Nothing in it is secret: every
// recipient of a batch can write the ID of every other.
type ID struct {
	Batch   int64
	Seq     int32
	Created time.Time // of the batch, to the microsecond: tells batches apart that have one number in two databases
	Client  string    // domain
}

// Append appends the Message-ID, with its angle brackets, to buf.
func (id ID) Append(buf []byte) []byte {
	buf = append(buf, "<enotify."...)
	buf = strconv.AppendInt(buf, id.Batch, 10)
	buf = append(buf, '.')
	buf = strconv.AppendInt(buf, int64(id.Seq), 10)
	buf = append(buf, '.')
	buf = strconv.AppendInt(buf, id.Created.UnixMicro(), 36)
	buf = append(buf, '@')
	buf = append(buf, id.Client...)
	return append(buf, '>')
}

var ours = regexp.MustCompile(`^<enotify\.([0-9]{1,18})\.([0-9]{1,9})\.([0-9a-z]{1,12})@([^<>@\s]+)>$`)

// Parse reads a Message-ID, with its angle brackets, and reports whether it is
// written like one of ours.
func Parse(text string) (id ID, ok bool) {
	m := ours.FindStringSubmatch(text)
	if m == nil {
		return ID{}, false
	}
	batch, _ := strconv.ParseInt(m[1], 10, 64) // of digits, few enough
	seq, _ := strconv.ParseInt(m[2], 10, 32)
	micros, _ := strconv.ParseInt(m[3], 36, 64)
	return ID{Batch: batch, Seq: int32(seq), Created: time.UnixMicro(micros), Client: m[4]}, true
}
