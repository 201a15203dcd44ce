package engine

import (
	"encoding/binary"
	"encoding/hex"
	"hash/crc32"
	"strconv"
)

// lines of a journal leave in one write: those that came while the write before was
// under way. A disk that is slow for a moment would else make a queue of them that takes
// a change of goroutine and a call of the system for each.
type lines struct {
	text    []byte
	late    bool          // a write before had failed
	written int           // octets of text; once done is closed
	done    chan struct{} // closed after the write
}

// write adds the line in j.buf to those of the next write, waits for that, and reports
// whether the line is in the file, and none before it was lost. The caller has j.mu, and
// has it no more afterwards. Whoever adds the first line carries out the write.
func (j *journal) write() bool {
	of, first := j.next, j.next == nil
	if first {
		of = &lines{text: j.spare, done: make(chan struct{})}
		j.next, j.spare = of, nil
	}
	of.text = append(of.text, j.buf...)
	end := len(of.text)
	j.mu.Unlock()
	if first {
		j.disk.Lock()
		j.writeNext()
		j.disk.Unlock()
	} else {
		<-of.done
	}
	return end <= of.written && !of.late
}

// writeNext writes the lines that wait. The caller has j.disk.
func (j *journal) writeNext() {
	j.mu.Lock()
	of := j.next
	j.next = nil
	of.late = j.err != nil
	j.mu.Unlock()
	n, err := j.file.Write(of.text)
	j.mu.Lock()
	j.size += n
	if err != nil && j.err == nil {
		j.err = err // a line may be there in part; lines after it would be lost
	}
	j.spare = of.text[:0]
	j.mu.Unlock()
	of.written = n
	close(of.done)
}

func (j *journal) line(kind byte, numbers ...int64) {
	j.buf = append(j.buf[:0], kind)
	for _, n := range numbers {
		j.number(n)
	}
}

func (j *journal) number(n int64) { j.buf = strconv.AppendInt(append(j.buf, ' '), n, 10) }

// sum ends the line with its checksum.
func (j *journal) sum() {
	var sum [4]byte
	binary.BigEndian.PutUint32(sum[:], crc32.ChecksumIEEE(j.buf))
	j.buf = append(hex.AppendEncode(append(j.buf, ' '), sum[:]), '\n')
}
