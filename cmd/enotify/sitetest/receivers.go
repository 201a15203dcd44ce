package sitetest

import (
	"slices"
	"strings"
	"sync"
	"time"

	"enotify/sender/smtptest"
)

// Receivers answer by recipient, in any case, as they are told while they run.
type Receivers struct {
	mu       sync.Mutex
	replies  map[string]string // by "VERB DOMAIN-OR-ADDRESS"
	accepted map[string]int    // messages by recipient
	last     map[string]smtptest.Message
}

// Config has a server answer as they do.
func (r *Receivers) Config() smtptest.Config {
	return smtptest.Config{Reply: r.reply, Received: r.take}
}

// Answer sets the reply to a verb for an address, or for the addresses of a
// domain; "" is the usual, "drop" closes the connection instead, "slow" takes
// its time.
func (r *Receivers) Answer(who, verb, reply string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.replies == nil {
		r.replies = map[string]string{}
	}
	r.replies[verb+" "+strings.ToLower(who)] = reply
}

// Count is how many messages they have taken.
func (r *Receivers) Count() (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, copies := range r.accepted {
		n += copies
	}
	return n
}

// Twice lists the recipients that got more than one message.
func (r *Receivers) Twice() (recipients []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for address, copies := range r.accepted {
		if copies > 1 {
			recipients = append(recipients, address)
		}
	}
	slices.Sort(recipients)
	return recipients
}

// Last is the last message that a recipient got.
func (r *Receivers) Last(recipient string) (m smtptest.Message, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m, ok = r.last[strings.ToLower(recipient)]
	return m, ok
}

func (r *Receivers) reply(c smtptest.Command) string {
	switch reply := r.scripted(c); reply {
	case "slow":
		time.Sleep(300 * time.Millisecond)
		return ""
	case "drop":
		return smtptest.Drop
	default:
		return reply
	}
}

func (r *Receivers) scripted(c smtptest.Command) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	to := strings.ToLower(c.To)
	_, domain, _ := strings.Cut(to, "@")
	if reply := r.replies[c.Verb+" "+to]; reply != "" {
		return reply
	}
	return r.replies[c.Verb+" "+domain]
}

func (r *Receivers) take(m smtptest.Message) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.accepted == nil {
		r.accepted, r.last = map[string]int{}, map[string]smtptest.Message{}
	}
	for _, to := range m.To {
		r.accepted[to]++
		r.last[strings.ToLower(to)] = m
	}
}
