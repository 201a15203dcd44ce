package queue

import (
	"bytes"
	"context"
	"fmt"
	"io"

	"github.com/jackc/pgx/v5"
)

// AppendRow appends a recipient as a line of COPY's text format, with the columns address
// and data. Such lines are staged as they are, and not parsed again.
func AppendRow(line []byte, r Recipient) []byte {
	line = appendText(line, r.Address)
	if r.Data == nil {
		return append(line, "\t\\N\n"...)
	}
	line = append(line, '\t')
	return append(appendText(line, r.Data), '\n')
}

// appendText escapes what COPY's text format gives a meaning to.
func appendText[T ~string | ~[]byte](line []byte, text T) []byte {
	from := 0
	for i := range len(text) {
		var escaped byte
		switch text[i] {
		case '\\':
			escaped = '\\'
		case '\t':
			escaped = 't'
		case '\n':
			escaped = 'n'
		case '\r':
			escaped = 'r'
		default:
			continue
		}
		line = append(append(line, text[from:i]...), '\\', escaped)
		from = i + 1
	}
	return append(line, text[from:]...)
}

const copyRowsSQL = `COPY enotify.recipient_in (batch_id, address, data) FROM STDIN`

// copyRows stages the recipients of a batch, from lines of [AppendRow].
func copyRows(ctx context.Context, tx pgx.Tx, batch int64, rows io.Reader) (int, error) {
	in := &prefixed{in: rows, prefix: fmt.Appendf(nil, "%d\t", batch), start: true, read: make([]byte, 64<<10)}
	tag, err := tx.Conn().PgConn().CopyFrom(ctx, in, copyRowsSQL)
	return int(tag.RowsAffected()), err
}

// prefixed reads lines, each with a text before it.
type prefixed struct {
	in     io.Reader
	prefix []byte
	start  bool // of a line
	read   []byte
	whole  []byte // storage of ready
	ready  []byte // not handed out yet
}

func (p *prefixed) Read(b []byte) (int, error) {
	for len(p.ready) == 0 {
		n, err := p.in.Read(p.read)
		p.whole = p.whole[:0]
		for rest := p.read[:n]; len(rest) > 0; {
			if p.start {
				p.whole = append(p.whole, p.prefix...)
			}
			end := bytes.IndexByte(rest, '\n')
			p.start = end >= 0
			if end < 0 {
				end = len(rest) - 1
			}
			p.whole = append(p.whole, rest[:end+1]...)
			rest = rest[end+1:]
		}
		if p.ready = p.whole; n == 0 && err != nil {
			return 0, err
		}
	}
	n := copy(b, p.ready)
	p.ready = p.ready[n:]
	return n, nil
}
