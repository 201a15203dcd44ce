package sender

import (
	"errors"
	"sync"
	"time"

	"enotify/spfguard/dns"
)

// unanswered remembers domains whose name servers did not answer, so that not every
// message for them waits for a time-out in a place of the resolver, which other domains
// need (RFC 9520 §3.2 asks for the same of resolvers).
type unanswered struct {
	mu      sync.Mutex
	domains map[string]silence
	swept   time.Time
}

type silence struct {
	until time.Time
	err   error
}

// unansweredFor is how long a domain is not asked for again. A message is tried again
// later than that.
const unansweredFor = 30 * time.Second

// why is the error of the latest query for a domain, or nil when it may be asked for again.
func (u *unanswered) why(domain string, now time.Time) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if s, ok := u.domains[domain]; ok && now.Before(s.until) {
		return s.err
	}
	return nil
}

// note remembers a domain when err says that nobody answered.
func (u *unanswered) note(domain string, err error, now time.Time) {
	if !errors.Is(err, dns.ErrNoAnswer) {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.domains == nil {
		u.domains = map[string]silence{}
	}
	if now.Sub(u.swept) >= unansweredFor {
		u.swept = now
		for name, s := range u.domains {
			if !now.Before(s.until) {
				delete(u.domains, name)
			}
		}
	}
	u.domains[domain] = silence{now.Add(unansweredFor), err}
}
