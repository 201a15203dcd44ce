package throttle

import (
	"container/list"
	"sync/atomic"
	"time"
)

// turns decide which sites may get a connection where there are more sites than
// connections: those that have one keep it while there are messages for them, and get
// another one only of what is left when each of the others has one.
type turns struct {
	known atomic.Bool  // room was told
	room  atomic.Int64 // for more connections; may be negative

	coming  list.List // sites with messages under way and without a connection, since not long; by busy
	resting list.List // sites with connections and without messages, since not long; by quiet
	spare   list.List // for longer: their connections may be closed for others
	turned  list.List // sites that were turned away for want of a connection, since not long; by turned
}

// restsFor is how long a site without messages under way counts as one that will
// have more: the next must be read from the database.
const restsFor = 50 * time.Millisecond

// comesFor is how long a site counts as one that will take a connection at once.
// What takes longer is held up elsewhere, in the DNS or among sites that do not move.
const comesFor = 250 * time.Millisecond

// Room says for how many more connections there is room.
func (t *Throttle) Room(n int) {
	t.turns.room.Store(int64(n))
	t.turns.known.Store(true)
}

// Busy reports whether a site has messages under way, or had some just now, or has
// some that could not begin yet.
func (t *Throttle) Busy(name string, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.sites[name]
	return s != nil && (s.inflight > 0 || now.Sub(s.quiet) < restsFor || s.wants(now))
}

// wantsFor is how long after a site got fewer messages than there are for it, or none
// for want of a connection, it counts as one with mail: it is asked for again by then.
const wantsFor = 2 * maxWait

// wants reports whether there were lately more messages for a site than could begin.
func (s *site) wants(now time.Time) bool { return now.Sub(s.short) < wantsFor }

// asked notes how many messages to a domain of a site there were, and how many of them began.
func (s *site) asked(d *domain, want, n int, now time.Time) {
	left := want - n
	if want >= maxGrant { // of which nobody knows how many they are
		left = many
	}
	s.left += left - d.left
	d.left = left
	switch {
	case n < want:
		s.short, s.shortOf = now, d.name
	case s.shortOf == d.name:
		s.short = time.Time{}
	}
}

// many messages are more than a few connections carry soon.
const many = 1_000_000

// lose takes a domain off a site.
func (s *site) lose(d *domain) {
	s.domains--
	s.left -= d.left
}

// Suffices reports whether the connections of a site, with each messages in each, carry all
// mail for it: the messages that wait for a connection, and those that could not begin. For
// a site that does not answer it reports false: a further connection may be what it needs to
// move at all.
func (t *Throttle) Suffices(name string, waiting, each int, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.sites[name]
	return s != nil && s.open > 0 && s.answers(now) && waiting+s.left <= s.open*each
}

// turn notes that has turned a site away.
func (ts *turns) turn(s *site, now time.Time) {
	ts.leave(s)
	s.turned = now
	s.in, s.at = &ts.turned, ts.turned.PushBack(s)
}

// Yields reports whether a site makes do with the connections that it has, so that
// sites without one get one. Only a site that answers does: another may need a second
// connection to move at all.
func (t *Throttle) Yields(name string, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.sites[name]
	return s != nil && t.turns.yields(s, now)
}

func (ts *turns) yields(s *site, now time.Time) bool {
	if s.open <= 0 || !ts.known.Load() || !s.answers(now) {
		return false
	}
	left := ts.left(now)
	for e := ts.turned.Front(); e != nil && now.Sub(e.Value.(*site).turned) >= wantsFor; e = ts.turned.Front() {
		ts.leave(e.Value.(*site))
	}
	return left <= ts.turned.Len()
}

// has reports whether a site has a connection, or there is one to be had.
func (ts *turns) has(s *site, now time.Time) bool {
	if s.open > 0 || s.inflight > 0 || !ts.known.Load() {
		return true
	}
	return ts.left(now) > 0
}

// left is how many connections there are for sites that have none, beside those that
// are about to take one.
func (ts *turns) left(now time.Time) int {
	for e := ts.coming.Front(); e != nil; e = ts.coming.Front() {
		if now.Sub(e.Value.(*site).busy) < comesFor {
			break
		}
		ts.leave(e.Value.(*site))
	}
	for e := ts.resting.Front(); e != nil; e = ts.resting.Front() {
		rested := e.Value.(*site)
		if now.Sub(rested.quiet) < restsFor {
			break
		}
		ts.leave(rested)
		if rested.wants(now) {
			rested.quiet = now
			rested.in, rested.at = &ts.resting, ts.resting.PushBack(rested)
			continue
		}
		rested.in, rested.at = &ts.spare, ts.spare.PushBack(rested)
	}
	return int(ts.room.Load()) + ts.spare.Len() - ts.coming.Len()
}

// again is when to ask again for a site without a connection: all of them at the
// same moments, and the more there are, the more seldom.
func (ts *turns) again(domains int, now time.Time) time.Time {
	const moment = 20 * time.Millisecond
	wait := min(max(moment, time.Duration(domains)*moment/1000), maxWait)
	return now.Add(wait).Truncate(moment)
}

// flow notes that n more messages are under way to a site.
func (ts *turns) flow(s *site, n int, now time.Time) {
	if n == 0 {
		return
	}
	if s.inflight == 0 {
		s.busy = now
	}
	if s.inflight += n; s.inflight == 0 {
		s.quiet = now
	}
	ts.place(s)
}

// opens notes that a site has n more connections.
func (ts *turns) opens(s *site, n int) {
	s.open += n
	ts.place(s)
}

// place puts a site into the list where it belongs.
func (ts *turns) place(s *site) {
	coming := s.inflight > 0 && s.open <= 0
	resting := s.inflight == 0 && s.open > 0
	if coming && s.coming || resting && s.at != nil && (s.in == &ts.resting || s.in == &ts.spare) {
		return // and stays where it has come since
	}
	ts.leave(s)
	switch s.coming = coming; {
	case coming:
		s.in, s.at = &ts.coming, ts.coming.PushBack(s)
	case resting:
		s.in, s.at = &ts.resting, ts.resting.PushBack(s)
	}
}

func (ts *turns) leave(s *site) {
	if s.at != nil {
		s.in.Remove(s.at)
		s.in, s.at = nil, nil
	}
}
