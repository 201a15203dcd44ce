package tlsrpt

import (
	"crypto/sha256"
	"encoding/json"
	"sync"
	"time"
)

// Types of policies (RFC 8460 §4.2).
const (
	STS      = "sts"
	TLSA     = "tlsa"
	NoPolicy = "no-policy-found"
)

// Types of failures (RFC 8460 §4.3), beside those of a policy that could not be
// fetched, which are in package mtasts.
const (
	NotOffered   = "starttls-not-supported"
	HostMismatch = "certificate-host-mismatch"
	Expired      = "certificate-expired"
	NotTrusted   = "certificate-not-trusted"
	Invalid      = "validation-failure"
	TLSAInvalid  = "tlsa-invalid"
	NotProved    = "dnssec-invalid"
)

// A Policy is what a session was held to, in the form of RFC 8460 §4.4.
type Policy struct {
	Type    string   `json:"policy-type"`
	Strings []string `json:"policy-string,omitempty"`
	// Domain is the recipient domain; of TLSA records, the mail host that has them.
	Domain string   `json:"policy-domain"`
	MX     []string `json:"mx-host,omitempty"` // patterns of an MTA-STS policy
}

// A Failure says why a session did not meet its policy, in the form of RFC 8460
// §4.4. Its values come from small sets, Reason too, so that a domain cannot make
// them up at will.
type Failure struct {
	Type        string `json:"result-type"`
	SendingIP   string `json:"sending-mta-ip,omitempty"`
	MX          string `json:"receiving-mx-hostname,omitempty"`
	ReceivingIP string `json:"receiving-ip,omitempty"`
	Sessions    int64  `json:"failed-session-count"` // in a report
	Reason      string `json:"failure-reason-code,omitempty"`
}

// A Count is how many sessions for a recipient domain ended alike on a day.
type Count struct {
	Day      time.Time       // at 00:00 UTC
	Domain   string          // recipient domain
	Shape    [16]byte        // identifies Policy and Failure
	Policy   json.RawMessage // a [Policy]
	Failure  json.RawMessage // a [Failure]; nil: the session met its policy
	Sessions int64
}

// Bounds of what strangers publish.
const (
	maxCounts  = 50_000 // kept until they are taken
	maxStrings = 32     // of a policy
	maxString  = 512    // octets
)

// A Tally counts sessions until they are taken. The zero value is empty. It is safe
// for concurrent use, and never waits for anything but its lock.
type Tally struct {
	// Seen is told of each session: the type of its policy, and of its failure, or
	// "successful"; nil is nobody.
	Seen func(policy, result string)

	mu     sync.Mutex
	counts map[key]*Count
	plain  map[plain]*Count // of counts, those under a policy that is nothing but its type and domain
	lost   int64
}

// A plain session is found again without its form in JSON: nearly all are plain, and each
// connection counts one for each domain whose mail it carries.
type plain struct {
	day                  int64
	domain, kind, policy string
	failed               bool
	failure              Failure
}

type key struct {
	day    int64
	domain string
	shape  [16]byte
}

// Note counts a session for a recipient domain; failure is nil when it met the
// policy.
func (t *Tally) Note(at time.Time, domain string, p Policy, failure *Failure) {
	day := at.UTC().Truncate(24 * time.Hour)
	short := plain{day: day.Unix(), domain: domain, kind: p.Type, policy: p.Domain, failed: failure != nil}
	if failure != nil {
		short.failure = *failure
	}
	isPlain := len(p.Strings)+len(p.MX) == 0
	if isPlain && t.again(short) {
		return
	}
	p.Strings, p.MX = bounded(p.Strings), bounded(p.MX)
	c := Count{Day: day, Domain: domain, Sessions: 1}
	c.Policy, _ = json.Marshal(p) // of strings: no error
	if failure != nil {
		c.Failure, _ = json.Marshal(failure)
	}
	hash := sha256.New()
	hash.Write(c.Policy)
	hash.Write(c.Failure)
	copy(c.Shape[:], hash.Sum(nil))
	t.see(short)
	t.mu.Lock()
	defer t.mu.Unlock()
	if known := t.add(c); known != nil && isPlain {
		if t.plain == nil {
			t.plain = map[plain]*Count{}
		}
		t.plain[short] = known
	}
}

// again counts a plain session like one that was counted before, and reports whether there
// was one.
func (t *Tally) again(s plain) bool {
	t.mu.Lock()
	known := t.plain[s]
	if known != nil {
		known.Sessions++
	}
	t.mu.Unlock()
	if known != nil {
		t.see(s)
	}
	return known != nil
}

func (t *Tally) see(s plain) {
	result := "successful"
	if s.failed {
		result = s.failure.Type
	}
	if t.Seen != nil {
		t.Seen(s.kind, result)
	}
}

func bounded(list []string) []string {
	if len(list) > maxStrings {
		list = list[:maxStrings]
	}
	for i, s := range list {
		if len(s) > maxString {
			list = append(append(append([]string{}, list[:i]...), s[:maxString]), list[i+1:]...)
		}
	}
	return list
}

// add returns what is counted now; nil is when there was no room.
func (t *Tally) add(c Count) *Count {
	k := key{c.Day.Unix(), c.Domain, c.Shape}
	if known := t.counts[k]; known != nil {
		known.Sessions += c.Sessions
		return known
	}
	if len(t.counts) >= maxCounts {
		t.lost += c.Sessions
		return nil
	}
	if t.counts == nil {
		t.counts = map[key]*Count{}
	}
	t.counts[k] = &c
	return &c
}

// Take returns what was counted, and how many sessions found no room. Both begin
// at zero afterwards.
func (t *Tally) Take() (counts []Count, lost int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range t.counts {
		counts = append(counts, *c)
	}
	lost = t.lost
	t.counts, t.plain, t.lost = nil, nil, 0
	return counts, lost
}

// PutBack counts again what was taken and could not be kept.
func (t *Tally) PutBack(counts []Count) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range counts {
		t.add(c)
	}
}
