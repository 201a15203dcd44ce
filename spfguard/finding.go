package spfguard

import (
	"cmp"
	"net/netip"
	"slices"
)

// A Severity says how much a finding matters.
type Severity string

const (
	Error   Severity = "error"   // receivers reject the record, or it does not do what it says
	Warning Severity = "warning" // works, but not everywhere or not for long
	Info    Severity = "info"    // works; could be simpler
)

// A Finding is something to be said about a record.
type Finding struct {
	Rule     string   `json:"rule"` // stable name, as in "all.missing"
	Severity Severity `json:"severity"`
	Pos      int      `json:"position"` // offset in the record, in octets
	End      int      `json:"end"`      // offset behind what is meant; Pos when a place is meant
	Text     string   `json:"text"`     // what is meant, as written
	Message  string   `json:"message"`
	Remedy   string   `json:"remedy"`
}

// LintText says what is wrong with the text of a record, without the DNS.
// domain is where it is, or will be, published; "" if that is not known.
func LintText(text, domain string) []Finding {
	x := examine(text, domain)
	x.judge()
	x.judgeLength()
	return x.sorted()
}

// An examination reads a record the way a person does who has to repair it:
// it does not stop at an error, and guesses what was meant.
type examination struct {
	original string
	domain   string
	text     string // original without the characters that do not belong there
	origin   []int  // for each octet of text, and its end, the offset in original
	findings []Finding
	terms    []meant // in the order written
	foreign  bool    // a record of another kind has begun

	doubts []string // questions without whose answers a sender would be lost
	open   []string // questions about what does no harm
}

// A meant term is a valid one, as written or as it was probably meant.
type meant struct {
	Term
	pos, end  int // in text
	finding   int // index of the finding about the piece that it was made from; -1 for a term as written
	unsettled candidate
}

func examine(text, domain string) *examination {
	x := &examination{original: text, domain: domain}
	x.clean()
	x.readTerms(x.readVersion())
	return x
}

// judge looks at the terms as they were meant.
func (x *examination) judge() {
	x.judgeTerms()
	x.judgeNetworks()
}

// judgeLength judges the length of a record that is yet to be published: a published one was
// split already.
func (x *examination) judgeLength() {
	if len(x.text) > 255 {
		x.add(Info, "length.strings", 0, len(x.text),
			"the record has over 255 octets, the most one string of a TXT record holds (RFC 7208 §3.3)",
			"publish it as several strings, cut after a space: receivers join them without one")
	}
}

// add records a finding about text[pos:end].
func (x *examination) add(s Severity, rule string, pos, end int, message, remedy string) {
	from, to := x.origin[pos], x.origin[pos]
	if end > pos {
		to = x.origin[end-1] + 1
	}
	x.findings = append(
		x.findings,
		Finding{
			Rule:     rule,
			Severity: s,
			Pos:      from,
			End:      to,
			Text:     x.original[from:to],
			Message:  message,
			Remedy:   remedy,
		},
	)
}

func (x *examination) sorted() []Finding {
	slices.SortStableFunc(x.findings, func(a, b Finding) int { return cmp.Compare(a.Pos, b.Pos) })
	return x.findings
}

// altered reports whether the record as meant is not the one written.
func (x *examination) altered() bool {
	_, err := Parse(x.original)
	return err != nil || len(x.findings) > 0
}

// covers reports whether every address of b is one of a.
func covers(a, b netip.Prefix) bool {
	return a.Bits() <= b.Bits() && a.Contains(b.Addr())
}
