package main_test

import (
	"hash/fnv"
	"slices"
	"strings"
	"sync"
	"time"

	"enotify/sender/smtptest"
)

// An auditor is the receivers' side of the story: what came, how often, when.
type auditor struct {
	mu     sync.Mutex
	copies map[string]int         // messages accepted, by recipient
	tries  map[string]int         // RCPT commands, by recipient
	begun  map[string][]time.Time // the same, by domain
}

// receiver defers a few at the first try, and refuses a few for good.
func (a *auditor) receiver() smtptest.Config {
	a.copies, a.tries, a.begun = map[string]int{}, map[string]int{}, map[string][]time.Time{}
	return smtptest.Config{
		Delay: time.Millisecond,
		Received: func(m smtptest.Message) {
			a.mu.Lock()
			defer a.mu.Unlock()
			a.copies[m.To[0]]++
		},
		Reply: func(c smtptest.Command) string {
			if c.Verb != "RCPT" {
				return ""
			}
			to := strings.TrimSuffix(strings.TrimPrefix(c.Arg, "TO:<"), ">")
			_, domain, _ := strings.Cut(to, "@")
			a.mu.Lock()
			defer a.mu.Unlock()
			a.begun[domain] = append(a.begun[domain], time.Now())
			a.tries[to]++
			switch {
			case noSuchUser(to):
				return "550 5.1.1 No such user"
			case hash(to)%100 < 5 && a.tries[to] == 1:
				return "450 4.2.1 Mailbox temporarily disabled"
			}
			return ""
		},
	}
}

func noSuchUser(address string) bool { return hash(address)%100 == 99 }

func hash(s string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(s))
	return h.Sum64()
}

// busiest is the largest number of transactions that began at any domain in
// any one second.
func (a *auditor) busiest() (domain string, most int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for d, times := range a.begun {
		slices.SortFunc(times, time.Time.Compare)
		first := 0
		for last, at := range times {
			for at.Sub(times[first]) >= time.Second {
				first++
			}
			if n := last - first + 1; n > most {
				domain, most = d, n
			}
		}
	}
	return domain, most
}
