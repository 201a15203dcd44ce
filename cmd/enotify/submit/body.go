package submit

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"time"

	"enotify/cmd/enotify/recipients"
	"enotify/queue"
)

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

	ctx   context.Context
	began time.Time
	plan  func(*body) (deed, error) // what its transaction does, by what is known of it
	head  *headStart                // nil: there is none
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
// lines of JSON, or CSV. The transaction of a large one may begin meanwhile.
func (d *Door) receive(g *guest, w http.ResponseWriter, q *http.Request, list bool,
	plan func(*body) (deed, error)) (b *body, err error) {
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
	b = &body{guest: g, door: d, kind: kind, rows: &spool{dir: d.Dir, quotas: []*quota{&g.spooled, &d.spooled}},
		ctx: q.Context(), began: time.Now(), plan: plan}
	defer func() {
		if err != nil {
			b.close()
			b = nil
		}
	}()
	control := http.NewResponseController(w)
	// Large reads: each sets a deadline.
	in := &meter{in: bufio.NewReaderSize(&paced{body: q.Body, control: control, began: b.began}, 64<<10)}
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
	b.abandon()
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

// keep writes a recipient for the database.
func (b *body) keep(r queue.Recipient) error {
	b.n++
	b.line = queue.AppendRow(b.line[:0], r)
	small := b.rows.file == nil
	err := b.rows.add(b.line)
	if err == nil && small && b.rows.file != nil && time.Since(b.began) < promptly {
		if do, err := b.plan(b); err == nil { // else it is said at the end
			b.head = b.door.begin(b.ctx, b.guest, do, b.rows)
		}
	}
	return err
}

// abandon rolls back a transaction that has begun.
func (b *body) abandon() {
	if b.head != nil {
		b.head.abandon()
		b.head = nil
	}
}

// carryOut runs the transaction of a body that is there as a whole, unless it has begun
// and takes the last rows.
func (b *body) carryOut(ctx context.Context, plan func(*body) (deed, error)) error {
	if h := b.head; h != nil {
		b.head = nil
		if ok, err := h.finish(); ok {
			return err
		}
	}
	do, err := plan(b)
	if err != nil {
		return err
	}
	return b.door.inTurn(ctx, b.guest, func(ctx context.Context) error { return do(ctx, b.rows.reader()) })
}

// readCSV reads recipients as enotify batch create does.
func (b *body) readCSV(in *meter) error {
	in.left = maxRecipient
	b.listed = true
	list, err := recipients.NewCSV(in, "the CSV")
	for err == nil {
		in.left = maxRecipient
		var r queue.Recipient
		if r, err = list.Next(); err == nil {
			err = b.keep(r)
		}
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}
