package throttle

import (
	"encoding/json"
	"math"
	"time"

	"enotify/queue"
)

// A memory is the place of a domain or site in what package queue keeps.
type memory struct {
	kind    string // queue.Site or queue.Domain
	name    string
	version int64 // version of the stored state; 0: nothing is stored
	changes int
}

// A State is what is kept of a site or a recipient domain, over restarts and
// for the node that serves it next. Its times are by the clock of the node that
// wrote it.
type State struct {
	At     time.Time `json:"at"`               // when it was so
	Pace   Pace      `json:"pace,omitzero"`    // of a site
	Holds  []Hold    `json:"holds,omitempty"`  // of a site
	Bears  int       `json:"bears,omitempty"`  // connections at once that a site has taken and answered well
	Tokens *float64  `json:"tokens,omitempty"` // in its bucket, where that is slow
}

// ReadState reads the State of a memo, with its times by the clock that says
// it was written at the time given.
func ReadState(data []byte, at time.Time) (State, error) {
	var s State
	if err := json.Unmarshal(data, &s); err != nil {
		return s, err
	}
	if s.At.IsZero() {
		return State{At: at}, nil
	}
	by := at.Sub(s.At)
	for _, t := range []*time.Time{&s.At, &s.Pace.ProbeAt, &s.Pace.RateProbeAt, &s.Pace.RefusedSince,
		&s.Pace.ClosedUntil, &s.Pace.WhyAt} {
		if !t.IsZero() {
			*t = t.Add(by)
		}
	}
	for i := range s.Holds {
		s.Holds[i].Until, s.Holds[i].At = s.Holds[i].Until.Add(by), s.Holds[i].At.Add(by)
	}
	return s, nil
}

// bearsFor is how long a site is taken to bear as many connections as it did.
const bearsFor = 30 * 24 * time.Hour

// pace is the pace with which a process goes on.
func (s State) pace(now time.Time) Pace {
	p := s.Pace
	if p.Allowed == 0 && now.Sub(s.At) < bearsFor {
		p.Allowed = s.Bears
	}
	return p
}

// remembered is anything that has a memory.
type remembered interface {
	mem() *memory
	worthKeeping() bool
	state(now time.Time) State
	leaseOf() string // a recipient domain whose lease lets one write it
}

func (m *memory) mem() *memory { return m }

// worthKeeping reports whether a new process would do worse without.
func (s *site) worthKeeping() bool {
	return s.pace.Learned() || len(s.holds) > 0 || s.bucket.slow() || s.pace.bears() > 0
}

func (s *site) state(now time.Time) State {
	return State{At: now, Pace: s.kept(), Holds: s.holds, Bears: s.pace.bears(),
		Tokens: s.bucket.kept(now)}
}

// kept is what of the pace is worth keeping.
func (s *site) kept() Pace {
	if !s.pace.Learned() {
		return Pace{}
	}
	p := s.pace
	p.Good = 0 // changes with every reply
	return p
}

func (s *site) leaseOf() string { return s.domain }

func (d *domain) worthKeeping() bool        { return d.bucket.slow() }
func (d *domain) state(now time.Time) State { return State{At: now, Tokens: d.bucket.kept(now)} }
func (d *domain) leaseOf() string           { return d.name }

func (b *bucket) kept(now time.Time) *float64 {
	if !b.slow() {
		return nil
	}
	tokens := math.Round(b.tokens(now)*1e6) / 1e6
	return &tokens
}

// change notes that what is kept of r is out of date.
func (t *Throttle) change(r remembered) {
	m := r.mem()
	m.changes++
	if t.changed == nil {
		t.changed = make(map[*memory]remembered)
		t.spent = make(map[*memory]remembered)
	}
	if m.version > 0 || r.worthKeeping() {
		t.changed[m] = r
	}
}

// spend notes that messages of a slow bucket are about to begin.
func (t *Throttle) spend(r remembered) {
	t.change(r)
	t.spent[r.mem()] = r
}

// Changed returns what differs from what is kept. It is a Memory of package engine with
// the three methods that follow.
func (t *Throttle) Changed(now time.Time) []queue.Memo {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.memos(t.changed, now)
}

// Spent returns the slow buckets from which messages were admitted that have
// not begun yet: they must not before this is kept, lest the next process
// admits them again.
func (t *Throttle) Spent(now time.Time) []queue.Memo {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.memos(t.spent, now)
}

func (t *Throttle) memos(of map[*memory]remembered, now time.Time) []queue.Memo {
	var memos []queue.Memo
	for m, r := range of {
		lease := r.leaseOf()
		if lease == "" {
			continue // nobody is sent to there
		}
		memo := queue.Memo{Kind: m.kind, Name: m.name, Domain: lease, Version: m.version, Changes: m.changes}
		if r.worthKeeping() {
			memo.State, _ = json.Marshal(r.state(now)) // of numbers, times and strings: no error
		}
		memos = append(memos, memo)
	}
	return memos
}

// Kept is told that memos were written, and of the versions they have now. What
// has changed since is to be written again.
func (t *Throttle) Kept(memos []queue.Memo) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, memo := range memos {
		r := t.remembered(memo.Kind, memo.Name)
		if r == nil {
			continue
		}
		m := r.mem()
		m.version = memo.Version
		if m.changes == memo.Changes {
			delete(t.changed, m)
			delete(t.spent, m)
		}
	}
}

func (t *Throttle) remembered(kind, name string) remembered {
	if kind == queue.Site {
		if s := t.sites[name]; s != nil {
			return s
		}
		return nil
	}
	if d := t.domains[name]; d != nil {
		return d
	}
	return nil
}

// Restore takes what is kept where that is newer than what we wrote: of another
// process, or of an operator who had it forgotten.
func (t *Throttle) Restore(memos []queue.Memo, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, memo := range memos {
		if r := t.remembered(memo.Kind, memo.Name); r != nil && r.mem().version >= memo.Version {
			continue
		}
		state, err := ReadState(memo.State, now.Add(-memo.Age))
		if err != nil {
			state = State{At: now} // of a newer version than this one: learn it again
		}
		if memo.Kind == queue.Site {
			s := t.site(memo.Name, now)
			s.pace, s.holds, s.allHeld, s.settling = state.pace(now), state.Holds, time.Time{}, 0
			if s.domain == "" {
				s.domain = memo.Domain
			}
			t.level(s, now)
			s.bucket.restore(state, now)
			s.version = memo.Version
			t.settled(s)
		} else {
			d := t.domain(memo.Name, now)
			d.bucket.restore(state, now)
			d.version = memo.Version
			t.settled(d)
		}
	}
}

// settled notes that r is as it is kept.
func (t *Throttle) settled(r remembered) {
	delete(t.changed, r.mem())
	delete(t.spent, r.mem())
}

// restore fills a slow bucket to what it would hold by now.
func (b *bucket) restore(s State, now time.Time) {
	if b.slow() && s.Tokens != nil {
		b.fill(*s.Tokens+now.Sub(s.At).Seconds()*float64(b.limiter.Limit()), now)
	}
}
