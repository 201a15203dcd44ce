package spfguard

import (
	"net/netip"
	"strconv"
	"strings"
)

// A Kind names a mechanism (RFC 7208 §5) or modifier (§6).
type Kind string

const (
	All      Kind = "all"
	Include  Kind = "include"
	A        Kind = "a"
	MX       Kind = "mx"
	PTR      Kind = "ptr"
	IP4      Kind = "ip4"
	IP6      Kind = "ip6"
	Exists   Kind = "exists"
	Redirect Kind = "redirect"
	Exp      Kind = "exp"
	Unknown  Kind = "unknown" // a modifier that no one knows: valid, and without effect
)

// Modifier reports whether k is written with "=" and matches nothing.
func (k Kind) Modifier() bool { return k == Redirect || k == Exp || k == Unknown }

// Queries reports whether a term of kind k counts towards the limit of ten
// (§4.6.4).
func (k Kind) Queries() bool {
	switch k {
	case Include, A, MX, PTR, Exists, Redirect:
		return true
	}
	return false
}

// A Term is a mechanism or modifier of a record.
type Term struct {
	Text string // as written
	Pos  int    // offset of Text in the record, in octets

	Kind      Kind
	Qualifier Result       // of a mechanism: Pass, Fail, SoftFail or Neutral
	Spec      Spec         // domain-spec, or value of an unknown modifier; empty if there is none
	Net       netip.Prefix // of ip4 and ip6, with the host bits that were written
	Bits4     int          // of a and mx; 32 if not written
	Bits6     int          // of a and mx; 128 if not written
	Name      string       // of an unknown modifier, as written
}

// A Record is a parsed SPF record.
type Record struct {
	Terms []Term // in the order written
}

// Find returns the first term of kind k, or nil.
func (r *Record) Find(k Kind) *Term {
	for i := range r.Terms {
		if r.Terms[i].Kind == k {
			return &r.Terms[i]
		}
	}
	return nil
}

// String writes the record in its shortest form, which means the same.
func (r *Record) String() string {
	var b strings.Builder
	b.WriteString(version)
	for i := range r.Terms {
		b.WriteByte(' ')
		b.WriteString(r.Terms[i].String())
	}
	return b.String()
}

// String writes the term in its shortest form, which means the same.
func (t *Term) String() string {
	var b strings.Builder
	switch t.Qualifier {
	case Fail:
		b.WriteByte('-')
	case SoftFail:
		b.WriteByte('~')
	case Neutral:
		b.WriteByte('?')
	}
	switch t.Kind {
	case Unknown:
		b.WriteString(t.Name + "=" + t.Spec.String())
	case Redirect, Exp:
		b.WriteString(string(t.Kind) + "=" + t.Spec.String())
	case IP4, IP6:
		b.WriteString(string(t.Kind) + ":" + t.Net.Addr().String())
		if t.Net.Bits() < t.Net.Addr().BitLen() {
			b.WriteString("/" + strconv.Itoa(t.Net.Bits()))
		}
	default:
		b.WriteString(string(t.Kind))
		if !t.Spec.Empty() {
			b.WriteString(":" + t.Spec.String())
		}
	}
	if t.Kind == A || t.Kind == MX {
		if t.Bits4 < 32 {
			b.WriteString("/" + strconv.Itoa(t.Bits4))
		}
		if t.Bits6 < 128 {
			b.WriteString("//" + strconv.Itoa(t.Bits6))
		}
	}
	return b.String()
}
