package submit

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"enotify/cmd/enotify/recipients"
	"enotify/queue"
)

// BatchFields are those of a batch: the arguments of enotify.create_batch, without
// idem_key, which is the header Idempotency-Key, and three that other functions take.
type BatchFields struct {
	FromAddress     string            `json:"from_address"`
	FromName        string            `json:"from_name"`
	ReplyTo         string            `json:"reply_to"`
	Subject         string            `json:"subject"`
	BodyText        string            `json:"body_text"`
	BodyHTML        string            `json:"body_html"`
	Priority        int32             `json:"priority"`
	NotBefore       time.Time         `json:"not_before"`
	ExpiresAt       time.Time         `json:"expires_at"`
	OnUnknown       string            `json:"on_unknown"`
	ListUnsubscribe string            `json:"list_unsubscribe"`
	Headers         map[string]values `json:"headers"`
	Lang            string            `json:"lang"`
	Pool            string            `json:"pool"`
	SendWindow      string            `json:"send_window"`
	Draft           bool              `json:"draft"` // do not submit it yet
	Ready           bool              `json:"ready"` // keep it as a draft until it is needed
	Attachments     []Attachment      `json:"attachments"`
}

// An Attachment is a file that every message carries: the arguments of
// enotify.add_attachment.
type Attachment struct {
	Filename    string `json:"filename"`
	Content     []byte `json:"content"` // in JSON: base64
	ContentType string `json:"content_type"`
	ContentID   string `json:"content_id"`
}

// values are those of a header field: a string, or a list of them.
type values []string

func (v *values) UnmarshalJSON(raw []byte) error {
	if len(raw) > 0 && raw[0] == '"' {
		*v = []string{""}
		return json.Unmarshal(raw, &(*v)[0])
	}
	return json.Unmarshal(raw, (*[]string)(v))
}

// A body is what was read and checked. Its recipients are in a file, in the form in which
// the database takes them.
type body struct {
	guest  *guest
	door   *Door
	rows   *spool          // lines of [queue.AppendRow]
	line   []byte          // storage of one
	kind   string          // media type
	fields json.RawMessage // of the batch, without attachments; nil: they are in the query
	files  []Attachment
	listed bool // it names recipients
	n      int  // how many
}

// Media types.
const (
	typeJSON   = "application/json"
	typeNDJSON = "application/x-ndjson"
	typeCSV    = "text/csv"
)

// Bounds of parts of a body, in octets. Each part is in memory.
const (
	maxFields    = 12 << 20
	maxFiles     = 36 << 20 // of attachments, which in base64 are larger by a third
	maxRecipient = 1 << 20
)

// receive reads a body to its end. With list, it is recipients alone: a JSON array,
// lines of JSON, or CSV.
func (d *Door) receive(g *guest, w http.ResponseWriter, q *http.Request, list bool) (b *body, err error) {
	kind, _, err := mime.ParseMediaType(q.Header.Get("Content-Type"))
	if err != nil || kind != typeJSON && kind != typeNDJSON && kind != typeCSV {
		return nil, problem(http.StatusUnsupportedMediaType,
			"Content-Type: want application/json, application/x-ndjson or text/csv")
	}
	select {
	case g.bodies <- struct{}{}:
	default:
		return nil, problem(http.StatusTooManyRequests, "the token sends four bodies already; wait until one is done")
	}
	b = &body{guest: g, door: d, kind: kind, rows: &spool{dir: d.Dir, quotas: []*quota{&g.spooled, &d.spooled}}}
	defer func() {
		if err != nil {
			b.close()
			b = nil
		}
	}()
	control := http.NewResponseController(w)
	// Large reads: each sets a deadline.
	in := &meter{in: bufio.NewReaderSize(&paced{body: q.Body, control: control, began: time.Now()}, 64<<10)}
	switch {
	case kind == typeCSV:
		err = b.readCSV(in)
	case list:
		err = b.readList(in)
	case kind == typeNDJSON:
		err = b.readLines(in)
	default:
		err = b.readObject(in)
	}
	_ = control.SetReadDeadline(time.Time{})
	if err == nil {
		err = b.rows.flush()
	}
	return b, unreadable(err)
}

// close forgets the body, and lets the token send another.
func (b *body) close() {
	b.rows.close()
	if b.files != nil {
		<-b.guest.files
		<-b.door.files
	}
	<-b.guest.bodies
}

// unreadable is the problem of a body that cannot be read.
func unreadable(err error) error {
	var is *Problem
	switch {
	case err == nil || errors.As(err, &is):
		return err
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return problem(http.StatusBadRequest, "the body ends too early")
	}
	return problem(http.StatusBadRequest, "the body cannot be read: "+err.Error())
}

// A meter bounds what is read for one part: no part is larger in memory.
type meter struct {
	in   io.Reader
	left int
}

func (m *meter) Read(p []byte) (int, error) {
	if m.left <= 0 {
		return 0, problem(http.StatusRequestEntityTooLarge,
			"a recipient is larger than 1 MiB, the attachments than 25 MiB, or the rest of the batch than 12 MiB")
	}
	n, err := m.in.Read(p[:min(len(p), m.left)])
	m.left -= n
	return n, err
}

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
		switch {
		case name == "recipients" && b.kind == typeJSON:
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

// keep writes a recipient for the database.
func (b *body) keep(r queue.Recipient) error {
	b.n++
	b.line = queue.AppendRow(b.line[:0], r)
	return b.rows.add(b.line)
}

// readCSV reads recipients as enotify batch create does.
func (b *body) readCSV(in *meter) error {
	in.left = maxRecipient
	list, err := recipients.NewCSV(in, "the CSV")
	for err == nil {
		in.left = maxRecipient
		var r queue.Recipient
		if r, err = list.Next(); err == nil {
			err = b.keep(r)
		}
	}
	b.listed = true
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
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

// batch reads the fields of the batch, which with CSV are in the query.
func (b *body) batch(q *http.Request) (f BatchFields, err error) {
	raw := b.fields
	if b.kind == typeCSV {
		if raw, err = queryFields(q); err != nil {
			return f, err
		}
	}
	if err := decoder(bytes.NewReader(raw)).Decode(&f); err != nil {
		return f, problem(http.StatusBadRequest, "the batch cannot be read: "+strings.TrimPrefix(err.Error(), "json: "))
	}
	f.Attachments = b.files
	return f, nil
}

// queryFields makes an object of the query.
func queryFields(q *http.Request) (json.RawMessage, error) {
	fields := map[string]any{}
	for name, all := range q.URL.Query() {
		fields[name] = all[0]
		switch name {
		case "priority":
			n, err := strconv.ParseInt(all[0], 10, 32)
			if err != nil {
				return nil, problem(http.StatusBadRequest, "priority: want a number")
			}
			fields[name] = n
		case "draft", "ready":
			yes, err := strconv.ParseBool(all[0])
			if err != nil {
				return nil, problem(http.StatusBadRequest, name+": want true or false")
			}
			fields[name] = yes
		case "headers", "attachments":
			return nil, problem(http.StatusBadRequest, name+": only in a JSON body")
		}
	}
	return json.Marshal(fields)
}
