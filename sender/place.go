package sender

import (
	"container/list"
	"context"
	"errors"
	"time"
)

const (
	// slowAfter is how long a connection may be opened, or have a message, before
	// it counts as slow.
	slowAfter = time.Second

	// newSlowAfter is slowAfter for a site's first connection, up to the end of its first
	// message. Many of them may be under way at once that never move. It is less where
	// other sites are quicker: newSlowTimes their mean time, but leastNewSlow.
	newSlowAfter = 250 * time.Millisecond
	newSlowTimes = 4
	leastNewSlow = 50 * time.Millisecond

	// slowShare is how many slow connections there may be for each one that moves, and
	// leastSlow how many there may be in any case.
	slowShare = 2
	leastSlow = 500

	// laggardShare of the slow connections is for sites that are known to be slow: all but
	// one in so many. The others are for those that are not known to be, until they are slow.
	laggardShare = 4

	// urgentShare of the places is kept for urgent messages: one in so many.
	urgentShare = 10

	// newcomerShare of the places is for sites that have not taken a message yet:
	// one in so many. They may be sites that never do.
	newcomerShare = 2

	// leastOpening is how long a connection may take to open before it has to end
	// for the sake of others. RFC 5321 §4.5.3.2 gives more, which it gets while
	// there is room.
	leastOpening = 5 * time.Second
)

// A class of messages that wait for a place. It says how many places there are for
// them.
type class int

const (
	urgent   class = iota // all
	ordinary              // all but those kept for urgent messages
	newcomer              // a share of those, since nobody knows whether the site moves
	laggard               // a share of those for slow connections: the site was slow to answer
	classes
)

// errMakesWay is why a connection was not waited for any longer.
var errMakesWay = errors.New("no answer for so long that others had to go first")

// A place is the right to have a connection open. It is slow while what it does
// takes long: slow places have a share of their own, so that receivers which do
// not move leave the others theirs.
type place struct {
	began  time.Time               // start of what it does now
	giveUp context.CancelCauseFunc // while it is being opened; else nil
	slow   bool
	novel  bool       // of a newcomer, until its first message is done
	in     *list.List // one of the lists of places; nil while in none
	at     *list.Element
}

// places holds the places of a pool, in two shares. The pool's lock guards it.
type places struct {
	limit    int       // places that are not slow
	taken    int       // all places
	slow     int       // of them
	novel    int       // of those that are not slow
	most     int       // places that are slow
	first    average   // time of a site's first connection, up to the end of its first message
	novels   list.List // novel places that are not slow, by began
	young    list.List // others that do something and are not slow, by began
	openings list.List // slow places that are being opened, by began
	timer    *time.Timer
	changed  func(room int) // is called with the lock, when it is another
	ripened  func()         // is called without the lock when there may be room that was none before
}

// room reports whether one more place may be taken.
func (ps *places) room(by class) bool {
	if by == laggard {
		return ps.slow < ps.most-ps.most/laggardShare
	}
	limit := ps.limit
	if by != urgent {
		limit -= limit / urgentShare
	}
	if by == newcomer && ps.novel >= max(1, limit/newcomerShare) {
		return false
	}
	return ps.taken-ps.slow < limit
}

// take takes a place, in which a connection is to be opened. Ctx ends when it has to
// make way.
func (ps *places) take(ctx context.Context, by class, now time.Time) (context.Context, *place) {
	pl := &place{novel: by == newcomer, slow: by == laggard}
	switch by {
	case newcomer:
		ps.novel++
	case laggard:
		ps.slow++
	}
	ctx, pl.giveUp = context.WithCancelCause(ctx)
	ps.taken++
	ps.tell()
	ps.begin(pl, now)
	return ctx, pl
}

// opened notes that the connection of a place is open and has its first message. For a novel
// one, opening and first message count as one.
func (ps *places) opened(pl *place, now time.Time) {
	pl.giveUp(nil)
	pl.giveUp = nil
	switch {
	case pl.slow:
		ps.leave(pl)
	case !pl.novel:
		ps.begin(pl, now)
	}
}

// carried notes that the first message of a novel place is done.
func (ps *places) carried(pl *place, now time.Time) {
	if !pl.slow {
		ps.first.note(now.Sub(pl.began))
	}
	ps.done(pl)
}

// done notes that a message in a place is done, or will not be.
func (ps *places) done(pl *place) {
	if pl.novel && !pl.slow {
		ps.novel--
	}
	pl.novel = false
}

// begin notes that something new begins in a place: its opening, or a message.
func (ps *places) begin(pl *place, now time.Time) {
	pl.began = now
	var in *list.List
	switch {
	case pl.slow && pl.giveUp != nil:
		in = &ps.openings
	case pl.slow:
	case pl.novel:
		in = &ps.novels
	default:
		in = &ps.young
	}
	if in != nil && pl.in == in {
		in.MoveToBack(pl.at)
		return
	}
	ps.leave(pl)
	if in != nil {
		pl.in, pl.at = in, in.PushBack(pl)
	}
}

// quick reports whether a slow place did its latest message quickly.
func (ps *places) quick(pl *place, now time.Time) bool {
	return pl.slow && now.Sub(pl.began) < slowAfter
}

// rest notes that nothing is done in a place. A slow one is not slow any more, if
// there is room for it among the others; false says that there is none.
func (ps *places) rest(pl *place) bool {
	ps.leave(pl)
	if pl.slow {
		if !ps.room(ordinary) {
			return false
		}
		pl.slow = false
		ps.slow--
		ps.tell()
	}
	return true
}

// free gives a place back.
func (ps *places) free(pl *place) {
	ps.leave(pl)
	ps.done(pl)
	if pl.giveUp != nil {
		pl.giveUp(nil)
	}
	ps.taken--
	if pl.slow {
		ps.slow--
	}
	ps.tell()
}

// tell reports how much room there is for ordinary messages.
func (ps *places) tell() { ps.changed(ps.limit - ps.limit/urgentShare - ps.taken + ps.slow) }

func (ps *places) leave(pl *place) {
	if pl.in != nil {
		pl.in.Remove(pl.at)
		pl.in, pl.at = nil, nil
	}
}

// ripen makes those places slow that have done the same for too long. Where
// there are too many slow ones, the one that has been opened for longest ends.
func (ps *places) ripen(now time.Time) {
	for _, ripens := range ps.ripens(now) {
		for e := ripens.in.Front(); e != nil; e = ripens.in.Front() {
			pl := e.Value.(*place)
			if pl.began.After(ripens.before) {
				break
			}
			if ps.slow >= ps.most {
				ps.makeWay(now)
				return
			}
			ps.leave(pl)
			ps.done(pl)
			pl.slow = true
			ps.slow++
			ps.tell()
			if pl.giveUp != nil {
				pl.in, pl.at = &ps.openings, ps.openings.PushBack(pl)
			}
		}
	}
}

// ripening are places that become slow when they began at a time or before.
type ripening struct {
	in     *list.List
	before time.Time
}

func (ps *places) ripens(now time.Time) [2]ripening {
	novel := newSlowAfter
	if mean := ps.first.mean(); mean > 0 {
		novel = min(novel, max(leastNewSlow, newSlowTimes*mean))
	}
	return [2]ripening{{&ps.novels, now.Add(-novel)}, {&ps.young, now.Add(-slowAfter)}}
}

func (ps *places) makeWay(now time.Time) {
	e := ps.openings.Front()
	if e == nil {
		return
	}
	if pl := e.Value.(*place); now.Sub(pl.began) >= leastOpening {
		ps.leave(pl)
		pl.giveUp(errMakesWay)
	}
}

// lookAgain is how soon messages that found no room are looked at again: an idle
// connection may not be needed any more.
const lookAgain = 50 * time.Millisecond

// await has ripened called when the next place will be slow, and soon in any case.
func (ps *places) await(now time.Time) {
	if ps.timer != nil {
		return
	}
	wait := lookAgain
	for _, ripens := range ps.ripens(now) {
		if e := ripens.in.Front(); e != nil {
			wait = min(wait, e.Value.(*place).began.Sub(ripens.before))
		}
	}
	ps.timer = time.AfterFunc(max(wait, 20*time.Millisecond), ps.ripened)
}
