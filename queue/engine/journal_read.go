package engine

import (
	"bytes"
	"encoding/json"
	"errors"
	"hash/crc32"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"enotify/queue"
)

// A predecessor is what the journal of a node says.
type predecessor struct {
	incarnation  string
	installation string               // database that it is about
	left         map[flight]departure // tries whose message may have left, and that are not recorded
	results      map[flight]knownTry  // those that are not recorded, and those that the database has forgotten
	last         map[int16]int64      // number of the last transaction of each writer
	complete     bool                 // of a try without a line, no message left
	closed       bool                 // the node recorded everything

	forgetful bool            // recorded results count, if
	known     map[int16]int64 // their number is over the one that the database knows
}

// A departure is a message whose end may have left.
type departure struct {
	From []netip.Addr `json:"from"` // the addresses that have a cap of the day for it; it has left from one of them
	Site string       `json:"site"`
	made int64        // when the batch was created, in microseconds since 1970
}

// A knownTry is a try whose result a node knows.
type knownTry struct {
	queue.Result
	made int64 // when the batch was created, in microseconds since 1970
}

// doubts counts the tries whose message may have left and that have no result.
func (p *predecessor) doubts() (n int) {
	for f := range p.left {
		if _, known := p.results[f]; !known {
			n++
		}
	}
	return n
}

// warming lists the tries in doubt that count against the cap of a day.
func (p *predecessor) warming() (all []sending) {
	for f, d := range p.left {
		if _, known := p.results[f]; known {
			continue
		}
		for _, addr := range d.From {
			all = append(all, sending{flight: f, made: d.made, addr: addr, site: d.Site})
		}
	}
	return all
}

// knowledge is what a dead node had reached.
func (p *predecessor) knowledge() (k knowledge) {
	k.complete = p.complete
	for f, d := range p.left {
		k.reached, k.made = append(k.reached, f), append(k.made, d.made)
		if _, known := p.results[f]; !known {
			k.flying = append(k.flying, f)
		}
	}
	for f, r := range p.results {
		k.reached, k.made = append(k.reached, f), append(k.made, r.made)
	}
	return k
}

var errNoJournal = errors.New("no journal of a node")

// readJournal reads a journal. A line that was cut off or spoilt is not
// believed, and in a journal that has one, a missing line proves nothing. The
// last line may be cut off: the message that it was to announce did not leave.
func readJournal(dir, boot string) (*predecessor, error) {
	text, err := os.ReadFile(filepath.Join(dir, journalFile))
	if err != nil {
		return nil, err
	}
	return parseJournal(text, boot)
}

func newPredecessor() *predecessor {
	return &predecessor{left: map[flight]departure{}, results: map[flight]knownTry{}, last: map[int16]int64{}}
}

func parseJournal(text []byte, boot string) (*predecessor, error) {
	p := newPredecessor()
	head, rest, _ := bytes.Cut(text, []byte("\n"))
	fields := strings.Fields(string(unsum(head)))
	if len(fields) != 4 || fields[0] != journalVersion {
		return p, errNoJournal
	}
	p.incarnation, p.complete, p.installation = fields[1], fields[2] == boot && boot != noBoot, fields[3]
	p.lines(rest)
	return p, nil
}

// readForgotten reads a journal and its past for a database that went back, and
// knows these transactions of the node. The results are those that it lacks.
func readForgotten(dir string, known map[int16]int64) (*predecessor, error) {
	files, err := filepath.Glob(filepath.Join(dir, pastFile+"*")) // sorted: their numbers are of one length
	if err != nil {
		return nil, err
	}
	p := newPredecessor()
	p.forgetful, p.known, p.complete = true, known, true
	for _, file := range append(files, filepath.Join(dir, journalFile)) {
		text, err := os.ReadFile(file)
		if errors.Is(err, os.ErrNotExist) {
			continue // it grew too old just now
		}
		if err != nil {
			return nil, err
		}
		_, rest, _ := bytes.Cut(text, []byte("\n"))
		p.lines(rest)
	}
	return p, nil
}

// lines takes in the lines after the first.
func (p *predecessor) lines(rest []byte) {
	for len(rest) > 0 {
		var line []byte
		var whole bool
		line, rest, whole = bytes.Cut(rest, []byte("\n"))
		if !whole {
			break
		}
		if !p.read(unsum(line)) {
			p.complete = false
		}
	}
}

// unsum returns a line without its checksum, nil when that is wrong.
func unsum(line []byte) []byte {
	const sum = len(" 01234567")
	n := len(line) - sum
	if n < 0 {
		return nil
	}
	want, err := strconv.ParseUint(string(line[n+1:]), 16, 32)
	if err != nil || uint32(want) != crc32.ChecksumIEEE(line[:n]) {
		return nil
	}
	return line[:n]
}

// read reads one line, and reports whether it made sense.
func (p *predecessor) read(line []byte) bool {
	if len(line) == 0 {
		return false
	}
	said, object, _ := bytes.Cut(line, []byte(" {"))
	var n []int64
	for _, field := range strings.Fields(string(said[1:])) {
		v, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return false
		}
		n = append(n, v)
	}
	switch kind := line[0]; {
	case kind == '+' && len(n) == 4:
		d := departure{made: n[3]}
		if object != nil && json.Unmarshal(append([]byte("{"), object...), &d) != nil {
			return false
		}
		p.left[flight{n[0], int32(n[1]), int32(n[2])}] = d
	case kind == '=' && len(n) == 8: // n[5] is the group
		r := knownTry{Result: queue.Result{Batch: n[0], Seq: int32(n[1]), Try: int(n[2]), DomainID: int32(n[4]),
			Attempts: int(n[6]), Wait: time.Duration(n[7])}, made: n[3]}
		if json.Unmarshal(append([]byte("{"), object...), &r.Outcome) != nil {
			return false
		}
		p.results[flight{n[0], r.Seq, int32(n[2])}] = r
	case kind == '-' && len(n)%3 == 2:
		writer, mark := int16(n[0]), n[1]
		p.last[writer] = max(p.last[writer], mark)
		for of := range slices.Chunk(n[2:], 3) {
			key := flight{of[0], int32(of[1]), int32(of[2])}
			delete(p.left, key)
			if !p.forgetful || mark <= p.known[writer] {
				delete(p.results, key)
			}
		}
	case kind == 'x' && len(n) == 0:
		p.closed = true
	default:
		return false
	}
	return true
}
