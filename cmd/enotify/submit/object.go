package submit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"unicode/utf8"

	"enotify/queue"
)

// readObject reads a batch with an array "recipients" at any place.
func (b *body) readObject(in *meter) error {
	dec := decoder(in)
	if err := b.readFields(dec, in); err != nil {
		return err
	}
	return end(dec, in)
}

// readFields reads the object of a batch. Recipients and attachments are bounded on their
// own; in lines of JSON, the recipients follow the object.
func (b *body) readFields(dec *json.Decoder, in *meter) error {
	in.left = maxFields
	if err := expect(dec, '{'); err != nil {
		return err
	}
	rest, size := map[string]json.RawMessage{}, 0
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return err
		}
		b.abandon() // it knew nothing of this field
		switch {
		case name == "recipients" && b.kind == typeJSON:
			if b.fields, err = json.Marshal(rest); err != nil { // so far
				return err
			}
			if err := b.readArray(dec, in); err != nil {
				return err
			}
			in.left = maxFields - size
			continue
		case name == "attachments":
			if err := b.readFiles(dec, in); err != nil {
				return err
			}
			in.left = maxFields - size
			continue
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return err
		}
		rest[name.(string)] = value
		if size += len(value); size > maxFields {
			in.left = 0
		}
	}
	if err := expect(dec, '}'); err != nil {
		return err
	}
	var err error
	b.fields, err = json.Marshal(rest)
	return err
}

// readFiles reads the attachments, which stay in memory: a token has one such body at a
// time, and the door a few.
func (b *body) readFiles(dec *json.Decoder, in *meter) error {
	if b.files != nil {
		return errors.New(`"attachments" comes twice`)
	}
	select {
	case b.guest.files <- struct{}{}:
	default:
		return problem(http.StatusTooManyRequests,
			"the token sends another batch with attachments; wait until that is done")
	}
	select {
	case b.door.files <- struct{}{}:
	default:
		<-b.guest.files
		return problem(http.StatusServiceUnavailable,
			"too many batches with attachments come in at once; send it again later")
	}
	b.files = []Attachment{}
	in.left = maxFiles
	if err := expect(dec, '['); err != nil {
		return err
	}
	for dec.More() {
		var a Attachment
		if err := dec.Decode(&a); err != nil {
			if is := (*Problem)(nil); errors.As(err, &is) {
				return err
			}
			return fmt.Errorf("attachment %d: %s", len(b.files)+1, strings.TrimPrefix(err.Error(), "json: "))
		}
		b.files = append(b.files, a)
	}
	return expect(dec, ']')
}

// decoder refuses fields that nobody knows: they would be lost without a word.
func decoder(in io.Reader) *json.Decoder {
	dec := json.NewDecoder(in)
	dec.DisallowUnknownFields()
	return dec
}

// readArray reads the array of recipients.
func (b *body) readArray(dec *json.Decoder, in *meter) error {
	if b.listed {
		return errors.New(`"recipients" comes twice`)
	}
	if err := expect(dec, '['); err != nil {
		return err
	}
	b.listed = true
	for dec.More() {
		if err := b.readRecipient(dec, in); err != nil {
			return err
		}
	}
	return expect(dec, ']')
}

// readList reads recipients alone, an array or lines.
func (b *body) readList(in *meter) error {
	in.left = maxRecipient
	dec := decoder(in)
	if b.kind == typeNDJSON {
		return b.readRest(dec, in)
	}
	if err := b.readArray(dec, in); err != nil {
		return err
	}
	return end(dec, in)
}

// readLines reads a batch on the first line, and a recipient on each other.
func (b *body) readLines(in *meter) error {
	dec := decoder(in)
	if err := b.readFields(dec, in); err != nil {
		return err
	}
	return b.readRest(dec, in)
}

func (b *body) readRest(dec *json.Decoder, in *meter) error {
	b.listed = true
	for {
		if err := b.readRecipient(dec, in); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
	}
}

// A row is a recipient.
type row struct {
	Address string          `json:"address"`
	Data    json.RawMessage `json:"data"`
}

func (b *body) readRecipient(dec *json.Decoder, in *meter) error {
	in.left = maxRecipient
	var r row
	err := dec.Decode(&r)
	if errors.Is(err, io.EOF) && b.kind == typeNDJSON {
		return io.EOF
	}
	switch {
	case err != nil:
	case strings.ContainsRune(r.Address, 0) || bytes.Contains(r.Data, []byte(`\u0000`)):
		err = errors.New("it holds a NUL")
	case !utf8.Valid(r.Data):
		err = errors.New("it is not in UTF-8")
	default:
		return b.keep(queue.Recipient{Address: r.Address, Data: r.Data})
	}
	if is := (*Problem)(nil); errors.As(err, &is) {
		return err
	}
	return fmt.Errorf("recipient %d: %w", b.n+1, err)
}

func expect(dec *json.Decoder, want json.Delim) error {
	got, err := dec.Token()
	if err == nil && got != want {
		err = fmt.Errorf("got %v, want %v", got, want)
	}
	return err
}

// end makes sure that nothing comes after the JSON.
func end(dec *json.Decoder, in *meter) error {
	in.left = maxRecipient
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something comes after the end of the JSON")
	}
	return nil
}
