package compose

import (
	"strings"
	"unicode/utf8"
)

// A body is a text of the message, text or HTML, encoded as far as it is the
// same for all. It can be written in two ways: as it is, where all is ASCII and
// short lines (7bit), and else in quoted-printable. What a recipient's data
// holds decides; most batches need but one of them.
type body struct {
	part  *part
	seven *coded // nil: its literals do not allow it
	qp    *coded
}

// coded is a body in one encoding: chunks that are the same for all, and runs of
// lines around the holes, which are encoded for each recipient.
type coded struct {
	head   []byte // the fields that describe it (RFC 2045 §2.4), each with its CRLF
	chunks []chunk
}

// A chunk is either fixed or a run. It begins at the start of a line.
type chunk struct {
	fixed  []byte
	run    []piece
	broken bool // the run ends within a line
}

// A piece of a run is a literal, or a hole.
type piece struct {
	literal []byte
	hole    int // from 0; -1: this is a literal
}

// newBody encodes a part of the given type: "text/plain; charset=UTF-8".
func newBody(p *part, contentType string) *body {
	b := &body{part: p}
	literals := make([]string, len(p.literals))
	ascii := true
	for i, l := range p.literals {
		literals[i] = newlines(l)
		ascii = ascii && sevenLiteral(literals, i)
	}
	head := "Content-Type: " + contentType + "\r\nContent-Transfer-Encoding: "
	if ascii {
		b.seven = &coded{head: []byte(head + "7bit\r\n"),
			chunks: split(literals, maxLine, func(b, text []byte, _ bool) []byte { return appendCRLF(b, text) })}
	}
	if !ascii || p.holes() > 0 {
		b.qp = &coded{head: []byte(head + "quoted-printable\r\n"), chunks: split(literals, nearBreak, appendQP)}
	}
	return b
}

// sevenLiteral reports whether a literal may be part of a 7bit body. Its first
// and last line are looked at again with what stands beside them.
func sevenLiteral(literals []string, i int) bool {
	text := literals[i]
	if i > 0 { // it goes on with a line
		text = "x" + text
	}
	return sevenBit([]byte(text))
}

// nearBreak is how much of a long line is encoded for each recipient before and
// after a hole in it.
const nearBreak = 150 // octets

// split takes literals apart into chunks. A run ends with the line, or, where
// that is much longer than near octets, within it.
func split(literals []string, near int, encode func(b, text []byte, broken bool) []byte) []chunk {
	var chunks []chunk
	var run []piece
	for i, l := range literals {
		last := i == len(literals)-1
		if len(run) > 0 { // l goes on with the line of a hole
			line := strings.IndexByte(l, '\n') + 1
			end, broken := line, false
			switch {
			case line > 0 && line <= 2*near:
			case line == 0 && len(l) <= 2*near && last:
				end = len(l)
			case line == 0 && len(l) <= 2*near:
				run = append(run, piece{literal: []byte(l), hole: -1}, piece{hole: i})
				continue
			default:
				end, broken = whole(l, near), true
			}
			run = append(run, piece{literal: []byte(l[:end]), hole: -1})
			chunks = append(chunks, chunk{run: run, broken: broken})
			l = l[end:]
		}
		// The rest of l begins at the start of a line.
		if last {
			if l != "" {
				chunks = append(chunks, chunk{fixed: encode(nil, []byte(l), false)})
			}
			break
		}
		from, broken := strings.LastIndexByte(l, '\n')+1, false
		if len(l)-from > 2*near {
			from, broken = whole(l, len(l)-near), true
		}
		if from > 0 {
			chunks = append(chunks, chunk{fixed: encode(nil, []byte(l[:from]), broken)})
		}
		run = []piece{{literal: []byte(l[from:]), hole: -1}, {hole: i}}
	}
	return chunks
}

// whole is n, or less so that no character is cut; no more than s has.
func whole(s string, n int) int {
	if n >= len(s) {
		return len(s)
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return n
}

// valuesOf are the contents of the holes of a body, one after the other.
type valuesOf struct {
	octets []byte
	start  int
	ends   []int
}

func (v valuesOf) at(hole int) []byte {
	from := v.start
	if hole > 0 {
		from = v.ends[hole-1]
	}
	return v.octets[from:v.ends[hole]]
}

// choose picks the encoding of the body for what fills its holes. The scratch
// may be used and is returned for the next.
func (b *body) choose(scratch []byte, values valuesOf) (*coded, []byte) {
	if b.seven == nil {
		return b.qp, scratch
	}
	for _, k := range b.seven.chunks {
		if k.run == nil {
			continue
		}
		if scratch = k.text(scratch[:0], values); !sevenBit(scratch) {
			return b.qp, scratch
		}
	}
	return b.seven, scratch
}

// text appends the text of a run.
func (k chunk) text(b []byte, values valuesOf) []byte {
	for _, p := range k.run {
		if p.hole >= 0 {
			b = appendNewlines(b, values.at(p.hole))
		} else {
			b = append(b, p.literal...)
		}
	}
	return b
}

// encode appends a run, whose text this is, in the encoding c of b.
func (b *body) encode(to []byte, c *coded, k chunk, text []byte) []byte {
	if c == b.seven {
		return appendCRLF(to, text)
	}
	return appendQP(to, text, k.broken)
}

// size is the body's size in memory, in octets.
func (c *coded) size() (n int) {
	for _, k := range c.chunks {
		n += len(k.fixed)
		for _, p := range k.run {
			n += len(p.literal)
		}
	}
	return n
}
