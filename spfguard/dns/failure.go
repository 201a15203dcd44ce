package dns

import (
	"errors"
	"fmt"

	"github.com/miekg/dns"
)

// ErrNoAnswer means that no server answered a question in time.
var ErrNoAnswer = errors.New("no answer")

// A FailureError is the temporary error of a question that the DNS server did
// not answer, or not with records or a denial.
type FailureError struct {
	Server     string // that was asked, HOST:PORT
	Name, Type string // of the question
	Err        error
}

func (e *FailureError) Error() string {
	return fmt.Sprintf("DNS server %s: %s %s: %v", e.Server, e.Type, e.Name, e.Err)
}

func (e *FailureError) Unwrap() error { return e.Err }

// A Fault says with whom a [FailureError] lies.
type Fault string

const (
	TheirDNS    Fault = "theirs"  // the server answered, and the name servers of the name did not, or wrongly
	OurResolver Fault = "ours"    // the server cannot be reached, or refuses to answer us
	Unclear     Fault = "unclear" // silence: of the server, or of the name servers behind it
)

// Fault says who can mend the failure.
func (e *FailureError) Fault() Fault {
	var code rcodeError
	switch {
	case errors.Is(e.Err, ErrNoAnswer):
		return Unclear
	case errors.As(e.Err, &code) && int(code) == dns.RcodeServerFailure, errors.Is(e.Err, errChain):
		return TheirDNS
	}
	return OurResolver
}

// An rcodeError is a response code that is neither success nor NXDOMAIN.
type rcodeError int

func (e rcodeError) Error() string { return dns.RcodeToString[int(e)] }
