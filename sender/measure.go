package sender

import "time"

// A Phase is a part of an attempt that takes time.
type Phase string

// The phases, in their order. Those from connect to tls are of opening a connection,
// which several messages use.
const (
	PhaseRoute    Phase = "route"    // mail hosts and their policies are looked up
	PhaseWait     Phase = "wait"     // for a connection, or for the right to open one
	PhaseConnect  Phase = "connect"  // TCP
	PhaseGreet    Phase = "greet"    // banner and EHLO
	PhaseTLS      Phase = "tls"      // STARTTLS
	PhaseEnvelope Phase = "envelope" // from MAIL to the reply to DATA
	PhaseContent  Phase = "content"  // the message leaves
	PhaseConfirm  Phase = "confirm"  // from the final dot to its reply
)

// measure reports how long a phase took that began at a time.
func (s *Sender) measure(p Phase, begun time.Time) {
	if s.Measured != nil {
		s.Measured(p, time.Since(begun))
	}
}

// measure is [Sender.measure] for a phase of a connection.
func (c *conn) measure(p Phase, begun time.Time) {
	if c.measured != nil {
		c.measured(p, time.Since(begun))
	}
}

// Connections counts the connections that are open or being opened.
type Connections struct {
	Moving int // with a message, or being opened
	Slow   int // of the same, those that have waited over a second for an answer
	Idle   int
}

// Connections counts the connections that are open now.
func (s *Sender) Connections() Connections {
	p := s.pool()
	p.mu.Lock()
	defer p.mu.Unlock()
	idle := p.idle.Len()
	return Connections{Moving: max(0, p.places.taken-p.places.slow-idle), Slow: p.places.slow, Idle: idle}
}
