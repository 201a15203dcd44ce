// Package recipients reads recipients from CSV files, and finds the merge fields
// that their columns have to fill.
package recipients

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"enotify/cmd/enotify/figures"
	"enotify/cmd/enotify/term"
	"enotify/queue"
)

// addressColumn is the column of the address, in any case.
const addressColumn = "address"

// A CSV reads recipients from a CSV file (RFC 4180) line by line. The first line
// names the columns; those beside the address are merge data. Commas,
// semicolons and tabs separate, as the first line does; UTF-8, with or without
// a byte order mark.
type CSV struct {
	name    string // of the file
	in      *bounded
	csv     *csv.Reader
	after   int      // number of the line on which the last record ends
	address int      // number of the column
	columns []string // all of them
	data    map[string]string
	read    int
}

// maxRecord is how long a record may be, in octets: merge data has at most 64 KiB. Without
// a bound, a file that is no CSV, or a quote that is not closed, would be read into memory
// as a whole.
const maxRecord = 2 << 20

var errLong = errors.New("a record is too long")

// bounded reads so much for one record, and what is in buffers.
type bounded struct {
	in   io.Reader
	left int
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errLong
	}
	n, err := b.in.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

// NewCSV reads the first line of r. Errors call the file by name.
func NewCSV(r io.Reader, name string) (*CSV, error) {
	bound := &bounded{r, maxRecord}
	in := bufio.NewReaderSize(bound, 64<<10)
	start, err := in.Peek(3)
	switch {
	case len(start) == 0 && !errors.Is(err, io.EOF):
		return nil, fmt.Errorf("%s: %w", name, err)
	case bytes.HasPrefix(start, []byte{0xef, 0xbb, 0xbf}):
		_, _ = in.Discard(3) // it is in the buffer
	case bytes.HasPrefix(start, []byte{0xff, 0xfe}), bytes.HasPrefix(start, []byte{0xfe, 0xff}):
		return nil, fmt.Errorf("%s is in UTF-16; save it as CSV in UTF-8", name)
	}
	if in, err = withLineFeeds(in); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	f := &CSV{name: name, in: bound, csv: csv.NewReader(in), data: map[string]string{}}
	if f.csv.Comma = declared(in); f.csv.Comma == 0 {
		f.csv.Comma = separator(in)
	}
	f.csv.ReuseRecord = true
	header, err := f.record()
	if errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s is empty; its first line names the columns, one of them %s", name, addressColumn)
	}
	if err != nil {
		return nil, err
	}
	return f, f.setColumns(header)
}

// declared is the separator that a spreadsheet names in a line of its own,
// "sep=;", which it also removes; 0 when there is none.
func declared(in *bufio.Reader) rune {
	line, _ := in.Peek(len("sep=;\r\n"))
	if len(line) < len("sep=;\n") || !strings.EqualFold(string(line[:4]), "sep=") ||
		!strings.ContainsRune(",;\t|", rune(line[4])) {
		return 0
	}
	end := line[5:]
	switch {
	case end[0] == '\n':
		_, _ = in.Discard(len("sep=;\n"))
	case len(end) > 1 && end[0] == '\r' && end[1] == '\n':
		_, _ = in.Discard(len("sep=;\r\n"))
	default:
		return 0
	}
	return rune(line[4])
}

// withLineFeeds reads a file whose lines end in CR alone, as old spreadsheets of
// the Macintosh write them, as if they ended in LF.
func withLineFeeds(in *bufio.Reader) (*bufio.Reader, error) {
	if _, err := in.Peek(1); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	start, _ := in.Peek(in.Buffered())
	if bytes.IndexByte(start, '\n') >= 0 || bytes.IndexByte(start, '\r') < 0 {
		return in, nil
	}
	return bufio.NewReaderSize(feeds{in}, 64<<10), nil
}

// feeds reads CR as LF.
type feeds struct{ in io.Reader }

func (f feeds) Read(p []byte) (int, error) {
	n, err := f.in.Read(p)
	for i, c := range p[:n] {
		if c == '\r' {
			p[i] = '\n'
		}
	}
	return n, err
}

// separator looks at the first line for the one that gives a column of addresses.
func separator(in *bufio.Reader) rune {
	_, _ = in.Peek(1) // fills the buffer
	buffered, _ := in.Peek(in.Buffered())
	line, _, _ := bytes.Cut(bytes.TrimLeft(buffered, "\r\n"), []byte{'\n'})
	for _, comma := range []rune{';', '\t'} {
		r := csv.NewReader(bytes.NewReader(line))
		r.Comma, r.LazyQuotes = comma, true
		if header, err := r.Read(); err == nil && slices.ContainsFunc(header, isAddress) {
			return comma
		}
	}
	return ','
}

func isAddress(column string) bool {
	return strings.EqualFold(trimmed(column), addressColumn)
}

// trimmed is the name of a column without white space around it, or characters
// that nobody sees.
func trimmed(column string) string {
	return strings.TrimFunc(column, func(r rune) bool { return unicode.IsSpace(r) || unicode.Is(unicode.Cf, r) })
}

func (f *CSV) setColumns(header []string) error {
	f.address = -1
	for i, column := range header {
		column = trimmed(column)
		switch {
		case column == "":
			return fmt.Errorf("%s line 1: column %d has no name", f.name, i+1)
		case slices.Contains(f.columns, column), isAddress(column) && f.address >= 0:
			return fmt.Errorf("%s line 1: two columns are called %s", f.name, column)
		case isAddress(column):
			f.address = i
		}
		f.columns = append(f.columns, column)
	}
	switch names := strings.Join(f.columns, ", "); {
	case f.address >= 0:
		return nil
	case strings.Contains(names, "@"):
		return fmt.Errorf("%s line 1: it must name the columns, one of them %s, but it holds an address itself", f.name,
			addressColumn)
	default:
		return fmt.Errorf("%s line 1: no column is called %s; there is %s", f.name, addressColumn,
			term.Clip(names, 200))
	}
}

// Next returns the next recipient, io.EOF after the last. Its errors name file
// and line.
func (f *CSV) Next() (queue.Recipient, error) {
	record, err := f.record()
	if errors.Is(err, io.EOF) && f.read == 0 {
		return queue.Recipient{}, fmt.Errorf("%s names columns but no recipient", f.name)
	}
	if err != nil {
		return queue.Recipient{}, err
	}
	f.read++
	r := queue.Recipient{Address: record[f.address]}
	if len(f.columns) == 1 {
		return r, nil
	}
	for i, column := range f.columns {
		if i != f.address {
			f.data[column] = record[i]
		}
	}
	r.Data, err = json.Marshal(f.data)
	return r, err
}

// record reads a line and makes sure that it is text.
func (f *CSV) record() ([]string, error) {
	f.in.left = maxRecord
	record, err := f.csv.Read()
	var broken *csv.ParseError
	switch {
	case errors.Is(err, errLong):
		return nil, fmt.Errorf("%s line %d: it is longer than 2 MiB, or has a quote that is not closed", f.name,
			f.after+1)
	case errors.Is(err, csv.ErrFieldCount):
		line, _ := f.csv.FieldPos(0)
		return nil, fmt.Errorf("%s line %d: %s, but line 1 names %s", f.name, line, figures.Some(len(record), "field"),
			figures.Some(len(f.columns), "column"))
	case errors.As(err, &broken) && errors.Is(err, csv.ErrQuote):
		return nil, fmt.Errorf("%s line %d: a quote that is not closed, or not doubled within quotes", f.name,
			broken.StartLine)
	case errors.As(err, &broken) && errors.Is(err, csv.ErrBareQuote):
		return nil, fmt.Errorf("%s line %d: a quote within a field that is not in quotes itself", f.name, broken.Line)
	case err != nil && !errors.Is(err, io.EOF):
		return nil, fmt.Errorf("%s: %w", f.name, err)
	case err != nil:
		return nil, err
	}
	for i, field := range record {
		line, _ := f.csv.FieldPos(i)
		switch {
		case !utf8.ValidString(field):
			return nil, fmt.Errorf("%s line %d: not in UTF-8; save the file as CSV in UTF-8", f.name, line)
		case strings.ContainsRune(field, 0):
			return nil, fmt.Errorf("%s line %d: holds a NUL; this is no text file", f.name, line)
		}
		f.after = line + strings.Count(field, "\n")
	}
	return record, nil
}

// Name is the name of the file.
func (f *CSV) Name() string { return f.name }

// Columns are the names of the columns.
func (f *CSV) Columns() []string { return f.columns }

// Line is the number of the line on which the last recipient begins.
func (f *CSV) Line() int {
	line, _ := f.csv.FieldPos(0)
	return line
}

// Fields are the fields of the last recipient by column, without the address. The
// next call of Next overwrites them.
func (f *CSV) Fields() map[string]string { return f.data }

// Fills reports whether a merge field can be filled from the columns.
func (f *CSV) Fills(field string) bool {
	return field == addressColumn || slices.Contains(f.columns, field) && field != f.columns[f.address]
}
