package throttle

import (
	"slices"
	"time"

	"enotify/queue"
	"enotify/sender/bounce"
)

const (
	firstHold = 15 * time.Minute
	maxHold   = 4 * time.Hour
)

// A Hold keeps one of our egress addresses away from a site that blocks it for its
// reputation, such as by a blocklist. Sending on makes that worse. Each block in a row
// doubles the wait, from 15 minutes to 4 hours; a message that the site takes after it ends
// it.
type Hold struct {
	Egress string    `json:"egress"` // an address, or the name at EHLO of a node that binds to none
	Times  int       `json:"times"`  // blocks in a row
	Until  time.Time `json:"until"`  // nothing begins before
	Reply  string    `json:"reply"`  // what the site said
	At     time.Time `json:"at"`     // when
}

// Block notes that a site blocks an egress address, and returns the hold. It is
// fresh unless the address was held before: messages under way then tell the
// same story.
func (t *Throttle) Block(name, egress, reply string, now time.Time) (h Hold, fresh bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.site(name, now)
	i := s.hold(egress)
	if i < 0 {
		s.holds = append(s.holds, Hold{Egress: egress})
		i = len(s.holds) - 1
	}
	h = s.holds[i]
	if now.Before(h.Until) {
		return h, false
	}
	h.Times++
	h.Until, h.Reply, h.At = now.Add(grown(firstHold, maxHold, h.Times, jitter())), reply, now
	s.holds[i] = h
	t.change(s)
	return h, true
}

// Unblock notes that a site took a message from an egress address.
func (t *Throttle) Unblock(name, egress string, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.sites[name]
	if s == nil {
		return
	}
	if i := s.hold(egress); i >= 0 && !now.Before(s.holds[i].Until) {
		s.holds = slices.Delete(s.holds, i, i+1)
		t.change(s)
	}
}

// Held is until when nothing may begin from an egress address at a site; the
// zero time when something may.
func (t *Throttle) Held(name, egress string, now time.Time) time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := t.sites[name]; s != nil {
		if i := s.hold(egress); i >= 0 && now.Before(s.holds[i].Until) {
			return s.holds[i].Until
		}
	}
	return time.Time{}
}

// Holding is Held with what the site said; its Class is empty when something may begin.
func (t *Throttle) Holding(name, egress string, now time.Time) queue.Closure {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := t.sites[name]; s != nil {
		if i := s.hold(egress); i >= 0 && now.Before(s.holds[i].Until) {
			return queue.Closure{Until: s.holds[i].Until, Class: queue.SpamBlock, Reply: bounce.Parse(s.holds[i].Reply)}
		}
	}
	return queue.Closure{}
}

// Halt closes a site until a time, for a reason of ours and not for its pace; then one
// message goes as a probe. It is not kept for the next node.
func (t *Throttle) Halt(name string, until, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.site(name, now)
	s.halted, s.pace.Refusals = until, max(1, s.pace.Refusals)
}

// Shut closes a site because all addresses that could be used are held, until
// the first of them is free; then one message goes as a probe.
func (t *Throttle) Shut(name string, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.site(name, now)
	s.allHeld = time.Time{}
	for _, h := range s.holds {
		if now.Before(h.Until) && (s.allHeld.IsZero() || h.Until.Before(s.allHeld)) {
			s.allHeld = h.Until
		}
	}
	s.pace.Refusals = max(1, s.pace.Refusals)
}

func (s *site) hold(egress string) int {
	return slices.IndexFunc(s.holds, func(h Hold) bool { return h.Egress == egress })
}
