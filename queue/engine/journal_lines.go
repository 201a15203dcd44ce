package engine

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"hash/crc32"
	"strconv"

	"enotify/queue"
)

// lines collects the lines that come while a write of the journal is under way; they leave
// in the next one. Otherwise a disk that is slow for a moment would make a queue of lines,
// each with a change of goroutine and a system call of its own.
type lines struct {
	text    []byte
	late    bool          // a write before had failed
	written int           // octets of text; once done is closed
	done    chan struct{} // closed after the write; nil: nobody waits for it
}

// write adds a line to those of the next write, waits for that, and reports whether the line
// is in the file, and none before it was lost. The caller holds j.mu, which write releases.
// The goroutine that adds the first line carries out the write.
func (j *journal) write(line []byte) bool {
	of := j.next
	if of == nil {
		if of, j.spare = j.spare, nil; of == nil {
			of = &lines{}
		}
		j.next = of
		of.text = append(of.text[:0], line...)
		j.mu.Unlock()
		return j.writeNext(len(line))
	}
	if of.done == nil {
		of.done = make(chan struct{})
	}
	of.text = append(of.text, line...)
	end := len(of.text)
	j.mu.Unlock()
	<-of.done
	return end <= of.written && !of.late
}

// writeNext writes the lines that wait, and reports whether their first end octets are in
// the file, and no line before them was lost.
func (j *journal) writeNext(end int) bool {
	j.disk.Lock()
	defer j.disk.Unlock()
	j.mu.Lock()
	of := j.next
	j.next = nil
	of.late = j.err != nil
	j.mu.Unlock()
	n, err := j.file.Write(of.text)
	of.written = n
	in := end <= n && !of.late
	j.mu.Lock()
	j.size += n
	if err != nil && j.err == nil {
		j.err = err // a line may be there in part; lines after it would be lost
	}
	if of.done == nil {
		j.spare = of
	} else {
		j.spare = &lines{text: of.text}
		close(of.done)
	}
	j.mu.Unlock()
	return in
}

// appendEnding appends the line that the end of a message may leave.
func appendEnding(to []byte, key flight, d departure) []byte {
	begun := len(to)
	to = appendNumber(appendFlight(append(to, '+'), key), d.made)
	if len(d.From) > 0 {
		text, _ := json.Marshal(d) // addresses and a name are always JSON
		to = append(append(to, ' '), text...)
	}
	return appendSum(to, begun)
}

// appendOutcome appends an outcome as [json.Marshal] has it. It writes the usual ones by
// itself, in a tenth of the time.
func appendOutcome(to []byte, o *queue.Outcome) ([]byte, error) {
	usual := o.Fault == "" && o.Treatment == (queue.Treatment{})
	for _, s := range [...]string{string(o.State), string(o.Class), o.Reply.Enhanced, o.Reply.Text, o.Host, o.Site} {
		usual = usual && isPlain(s)
	}
	if !usual {
		text, err := json.Marshal(*o)
		return append(to, text...), err
	}
	to = append(append(append(to, `{"State":"`...), o.State...), `","Class":"`...)
	to = strconv.AppendInt(append(append(to, o.Class...), `","Reply":{"Code":`...), int64(o.Reply.Code), 10)
	to = append(append(append(to, `,"Enhanced":"`...), o.Reply.Enhanced...), `","Text":"`...)
	to = append(append(append(to, o.Reply.Text...), `"},"Host":"`...), o.Host...)
	to = append(append(append(to, `","Site":"`...), o.Site...), `","After":`...)
	to = strconv.AppendInt(to, int64(o.After), 10)
	if o.Egress.IsValid() {
		to = append(o.Egress.AppendTo(append(to, `,"Egress":"`...)), '"')
	}
	return append(to, '}'), nil
}

// isPlain reports whether a text is the same in JSON.
func isPlain(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case c < ' ', c > '~', c == '"', c == '\\', c == '<', c == '>', c == '&':
			return false
		}
	}
	return true
}

// appendNumbers begins a line.
func appendNumbers(to []byte, kind byte, numbers ...int64) []byte {
	to = append(to, kind)
	for _, n := range numbers {
		to = appendNumber(to, n)
	}
	return to
}

func appendFlight(to []byte, key flight) []byte {
	return appendNumber(appendNumber(appendNumber(to, key.batch), int64(key.seq)), int64(key.try))
}

func appendNumber(to []byte, n int64) []byte { return strconv.AppendInt(append(to, ' '), n, 10) }

// appendSum ends the line that began there with its checksum.
func appendSum(to []byte, begun int) []byte {
	var sum [4]byte
	binary.BigEndian.PutUint32(sum[:], crc32.ChecksumIEEE(to[begun:]))
	return append(hex.AppendEncode(append(to, ' '), sum[:]), '\n')
}
