package sender

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net/textproto"
	"slices"

	"github.com/wneessen/go-mail/smtp"

	"enotify/sender/throttle"
)

// A TLSPolicy says how much encryption mail to a destination needs. A higher
// one includes those below.
type TLSPolicy int

// The policies. The zero value is none.
const (
	_ TLSPolicy = iota
	// encrypted where STARTTLS is offered and works, without looking at the certificate (RFC 7435)
	Opportunistic
	Required // never in the clear; strangers' certificates prove nothing, and are not looked at
	Verified // and to a host whose certificate is good for the name of the MX (RFC 6125)
)

var tlsPolicies = map[string]TLSPolicy{"opportunistic": Opportunistic, "required": Required, "verified": Verified}

// ParseTLSPolicy reads the name of a policy.
func ParseTLSPolicy(name string) (TLSPolicy, error) {
	if p, ok := tlsPolicies[name]; ok {
		return p, nil
	}
	return 0, fmt.Errorf("%q is no TLS policy: it is opportunistic, required or verified", name)
}

// String is the name of a policy.
func (p TLSPolicy) String() string {
	for name, policy := range tlsPolicies {
		if policy == p {
			return name
		}
	}
	return "none"
}

// TLSPolicies are the names that ParseTLSPolicy reads.
func TLSPolicies() []string { return slices.Sorted(maps.Keys(tlsPolicies)) }

// SetTLS replaces what was set per recipient domain, site, or
// [throttle.Everyone]. It holds for the next message.
func (s *Sender) SetTLS(policies map[string]TLSPolicy) {
	policies = maps.Clone(policies)
	s.tlsSet.Store(&policies)
}

// tlsPolicy is the policy that was set for a domain at a site: the domain's own, else the
// site's, else the one for all.
func (s *Sender) tlsPolicy(domain, site string) TLSPolicy {
	var set map[string]TLSPolicy
	if p := s.tlsSet.Load(); p != nil {
		set = *p
	}
	return cmp.Or(set[domain], set[site], set[throttle.Everyone], s.TLS, Opportunistic)
}

// errNoTLS stands for a host that does not offer the encryption that its mail needs. A reply
// that it gave is about that, and not about our mail.
var errNoTLS = errors.New("no encryption")

var errNotOffered = errors.New("it does not offer STARTTLS")

// maxSessions are kept to resume from (RFC 8446 §2.2): a session saves the host
// and us the costly part of the handshake.
const maxSessions = 500

// startTLS encrypts a connection (RFC 3207), and says how far: Opportunistic
// means that it is in the clear, since the host does not offer STARTTLS. Its
// error wraps errNoTLS, unless the host hung up.
func (s *Sender) startTLS(client *smtp.Client, host string, need *protection) (TLSPolicy, error) {
	policy := need.tls
	if offered, _ := client.Extension("STARTTLS"); !offered {
		if policy > Opportunistic {
			return 0, fmt.Errorf("%w with %s, which is required: %w", need.failure(), host, errNotOffered)
		}
		return Opportunistic, nil
	}
	if err := client.UpdateDeadline(s.commandTimeout()); err != nil {
		return 0, err
	}
	err := client.StartTLS(&tls.Config{
		ServerName: host,
		RootCAs:    s.RootCAs,
		// Between strangers, an unchecked certificate still beats no encryption.
		InsecureSkipVerify: policy < Verified || need.tlsa != nil,
		VerifyConnection:   need.verify(),
		ClientSessionCache: s.sessions,
	})
	var said *textproto.Error
	switch {
	case err == nil:
		return max(policy, Required), nil
	case errors.As(err, &said) && said.Code == 421:
		return 0, fmt.Errorf("STARTTLS with %s: %w", host, err)
	case policy > Opportunistic:
		return 0, fmt.Errorf("%w with %s, which is required: %w", need.failure(), host, wordsOnly{err})
	}
	return 0, fmt.Errorf("%w with %s: %w", errNoTLS, host, wordsOnly{err})
}

// wordsOnly is an error of STARTTLS that is no reply to the message, though the
// host may have given one.
type wordsOnly struct{ error }

func (e wordsOnly) As(target any) bool {
	if _, isReply := target.(**textproto.Error); isReply {
		return false
	}
	return errors.As(e.error, target)
}
