package queue

import "net/netip"

// A Subject is a client to be checked: its verdict is missing or has run out.
type Subject struct {
	ClientID   int32
	Client     string // the domain of its From: addresses
	From       string // address of the From: field of its next batch, else postmaster
	ReturnPath string // envelope sender; "" when it is From
	Bounces    Bounces
	Selectors  []string // of the DKIM keys that sign its mail
	FromSPF    FromSPF
	Egress     []Egress
	Node       int32 // that checks; 0: none
}

// MailFrom is the envelope sender of the client's mail, or an address of the
// same domain: operator is that of signed return paths where the client has
// none of its own, "" when there is none.
func (s Subject) MailFrom(operator string) string {
	if domain := s.Bounces.At(operator); domain != "" {
		return "b@" + domain
	}
	if s.ReturnPath != "" {
		return s.ReturnPath
	}
	return s.From
}

// FromSPF is what the SPF record of a From: domain that forbids our addresses
// means where the envelope sender passes and is aligned with From: by DMARC.
// Elsewhere such a record always blocks.
type FromSPF string

const (
	FromSPFBlocks FromSPF = "block"
	FromSPFWarns  FromSPF = "warn"
)

// An Egress is an address that receivers see mail come from, and what goes with it.
type Egress struct {
	Addr netip.Addr
	HELO string     // name at EHLO
	Pool string     // that it belongs to
	Bind netip.Addr // local address to connect from; the zero Addr is Addr itself, where the host has it
}
