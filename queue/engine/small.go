package engine

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"enotify/queue"
)

const (
	smallBatch    = 50                    // recipients of a small batch, at most
	smallContent  = 1 << 20               // octets that it says at most, attachments included: many are in memory at once
	smallBatches  = 50                    // of them take the turn in one transaction, at most
	smallPatience = 50 * time.Millisecond // time that the next one waits for room; then it takes the turn like others
)

// A wholeAdmission admits the messages of a small batch, or none of them.
type wholeAdmission interface {
	// AdmitAll is Admit for so many messages to each of several domains, all or none.
	// AdmitUrgent's rules hold for urgent ones.
	AdmitAll(want map[string]int, urgent bool, now time.Time) bool
}

// smalls are the small batches that are next in turn. A small batch takes the turn,
// begins all of its recipients and gives it on in one transaction, together with
// others like it: see [store.takeTurns]. They belong to the loop.
//
// One that cannot begin whole just now waits for room, and those behind it wait
// too: it is its turn. After smallPatience it takes the turn like any other batch.
type smalls struct {
	list   []*small // the first is next
	more   bool     // there may be others behind those
	behind bool     // a batch that is not small, or not surveyed, is next, or is behind those: for the heartbeat
	looked time.Time
	looks  looks
	sent   time.Time // when some had their turns last
	again  time.Time // when there is something to do whatever happens; zero: at no such time
	waits  time.Time // since when the first waits for room; zero: it does not
	given  int64     // the batch that has waited for too long
	gave   bool      // it has just: the next heartbeat gives it the turn
}

// A small batch has few recipients, all in groups that this node holds, at domains
// whose sites are known. Its client has no limit: messages that are limited are
// counted with each intent.
type small struct {
	turn
	standing
	leaves []choice // of each lane: where its messages leave from
	batch  *queue.Batch
	lanes  []*lane
	want   map[string]int // messages per domain
	known  bool           // it was surveyed, or its domains are known
	fits   bool           // it is small, and this node may begin all of it
}

// look reads which small batches are next.
func (v *serving) look(ctx context.Context, now time.Time) error {
	s := &v.smalls
	before := s.list
	s.list, s.more, s.behind, s.looked, s.again = nil, false, false, now, time.Time{}
	next, addresses, err := v.store.nextSmall(ctx, v.node.ID, v.leases.usable(), v.Survey == nil, v.strangers.list(now),
		v.egress.counts.take())
	s.looks.note(now, time.Since(now))
	if err != nil {
		return err
	}
	s.more = len(next) == smallBatches
	var unread []int64
	unknown := false
	for _, one := range next {
		if !one.known { // others do not wait for its survey
			s.behind, unknown = true, true
			continue
		}
		if !one.fits || !one.here || one.ID == s.given || v.crossed(one) {
			s.behind, s.more = true, false
			break
		}
		s.list = append(s.list, one)
		if i := slices.IndexFunc(before,
			func(b *small) bool { return b.ID == one.ID && b.edits == one.edits }); i >= 0 {
			one.batch = before[i].batch
		} else {
			unread = append(unread, one.ID)
		}
	}
	if len(s.list) == 0 || len(before) == 0 || before[0].ID != s.list[0].ID {
		s.waits = time.Time{}
	}
	if len(unread) > 0 {
		if err := v.noteEgress(ctx, addresses); err != nil {
			return err
		}
	}
	if err = v.read(ctx, unread); err == nil && unknown {
		err = v.survey(ctx)
	}
	switch {
	case len(s.list) > 0:
		s.again = now
	case s.more:
		s.again = now.Add(smallGap)
	}
	return err
}

// crossed reports whether a batch that had the turn before has untried recipients
// in a domain of a small one, or some that were put off.
func (v *serving) crossed(one *small) bool {
	for _, l := range one.lanes {
		for _, other := range v.lanes.at[l.domain] {
			if other.waiting > 0 && other.priority >= one.Priority {
				return true
			}
		}
	}
	return false
}

// read reads what these of the list say, and drops those that are at fault.
func (v *serving) read(ctx context.Context, unread []int64) error {
	if len(unread) == 0 {
		return nil
	}
	contents, err := v.DB.Contents(ctx, unread)
	if err != nil { // the survey finds out which one cannot be read
		v.smalls.list, v.smalls.behind = nil, true
		return nil
	}
	var fit []*small
	for _, one := range v.smalls.list {
		if one.batch == nil {
			one.batch = contents[one.ID]
			if one.batch == nil || one.batch.Edits != one.edits {
				v.smalls.behind = true // it has changed meanwhile
				continue
			}
			if v.Check != nil {
				if why := v.Check(one.batch); why != nil {
					if err := v.blockFor(ctx, one.batch, why.Error()); err != nil && !locked(err) {
						return err
					}
					continue
				}
			}
		}
		fit = append(fit, one)
	}
	v.smalls.list = fit
	return nil
}

// stirs reports whether sendSmall has something to do.
func (v *serving) stirs(news bool, now time.Time) bool {
	s := &v.smalls
	return v.mayLook() && (len(s.list) > 0 || (news || s.more) && !now.Before(s.looks.next()))
}

// sendSmall has the small batches take their turns that may begin now, and reports
// whether one did. With news it looks again which ones are next.
func (v *serving) sendSmall(ctx context.Context, news bool, now time.Time) (sent bool, err error) {
	s := &v.smalls
	if !v.mayLook() {
		s.list, s.more, s.again = nil, false, time.Time{}
		return false, nil
	}
	if (news || len(s.list) == 0 && s.more) && !now.Before(s.looks.next()) {
		if err := v.look(ctx, now); err != nil {
			return false, err
		}
	}
	if len(s.list) == 0 {
		return false, nil
	}
	_, taken := v.flights.taken(slowShare*v.capacity, now)
	reserved := v.capacity / urgentShare // see pick
	free, tick, n := v.capacity+reserved-taken, maxTick, 0
	for n < len(s.list) && v.relay.waiting() < maxTick/2 {
		one := s.list[n]
		room := min(tick, free)
		if !one.urgent() {
			room = min(tick, free-reserved)
		}
		if v.crossed(one) { // since it was read
			one.fits = false
			if n == 0 {
				v.passOn(now)
				return false, nil
			}
			break
		}
		if one.size() > room {
			if n == 0 && one.urgent() && v.passOn(now) { // some of it may begin where not all of it can
				return false, nil
			}
			break
		}
		if v.admitWhole(one, now) {
			n++
			free, tick = free-one.size(), tick-one.size()
			continue
		}
		if n > 0 {
			break
		}
		if !v.passOn(now) {
			s.again = s.waits.Add(smallPatience)
		}
		return false, nil
	}
	if n == 0 {
		s.again = now.Add(smallGap)
		return false, nil
	}
	first := s.list[:n]
	s.list, s.waits, s.again = s.list[n:], time.Time{}, now
	if len(s.list) == 0 && !s.more {
		s.again = time.Time{}
	}
	return true, v.takeTurns(ctx, first)
}

// passOn has the first small batch take the turn like any other once it has waited for
// too long, or need not wait. It reports whether it did.
func (v *serving) passOn(now time.Time) bool {
	s := &v.smalls
	if s.waits.IsZero() {
		s.waits = now
	}
	one := s.list[0]
	if one.fits && v.flights.count() > 0 && now.Sub(s.waits) < smallPatience {
		return false
	}
	*s = smalls{behind: true, looked: s.looked, looks: s.looks, sent: s.sent, given: one.ID, gave: true}
	return true
}

// mayLook reports whether small batches may take their turns together here.
func (v *serving) mayLook() bool {
	_, whole := v.Admission.(wholeAdmission)
	return whole && v.phase == steady && !v.journal.failed() && !v.flush.failing.Load()
}

// admitWhole admits all of a small batch. One whose messages count against a cap or a
// rate of an egress address takes the turn like any other: those are counted with
// each intent.
func (v *serving) admitWhole(one *small, now time.Time) bool {
	one.leaves = one.leaves[:0]
	for _, l := range one.lanes {
		v.assign(l, now)
		c := v.source(one.standing, l, now)
		if c.from == nil || c.room < math.MaxInt32 {
			one.fits = c.from == nil
			return false
		}
		one.leaves = append(one.leaves, c)
	}
	return v.Admission.(wholeAdmission).AdmitAll(one.want, one.urgent(), now)
}

// urgent reports whether its lanes are urgent.
func (s *small) urgent() bool { return s.Priority > 0 }

// size is the number of its recipients.
func (s *small) size() (n int) {
	for _, l := range s.lanes {
		n += l.waiting
	}
	return n
}

// takeTurns has small batches that were admitted take their turns.
func (v *serving) takeTurns(ctx context.Context, batches []*small) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), roundTrip) // an intent that is cut off is in doubt
	defer cancel()
	picks := map[laneKey]*pick{}
	for _, one := range batches {
		for i, l := range one.lanes {
			p := newPick(l, l.waiting, 0, one.leaves[i], nil)
			picks[l.key()] = &p
		}
	}
	err := v.keepSpent(ctx)
	var got []picked
	if err == nil {
		var mark int64
		strange := v.strangers.list(time.Now())
		got, mark, err = v.store.takeTurns(ctx, v.node.ID, batches, v.leases, strange)
		if err == nil && v.marks.note(intents, mark) {
			got, err = nil, errWentBack
		}
	}
	i := 0
	for _, one := range batches {
		var of []*attempt
		for ; i < len(got) && got[i].batch == one.ID; i++ {
			p := got[i]
			from := picks[laneKey{p.batch, p.domainID, false, false}]
			if from == nil || from.n == 0 {
				v.phase.worsen(unsure) // not what was read: it is taken back
				continue
			}
			from.n--
			if v.batches.runs[one.ID] == nil {
				one.batch.StartedAt = p.started
				v.contents.keep(one.batch)
				v.batches.runs[one.ID] = newRun(v.contents.outline(one.batch, one.batch.Size()), v.leases)
			}
			for _, a := range v.attempts([]picked{p}, from) {
				may := a.message.MayBegin
				a.relayed, a.message.MayBegin = true, func() bool {
					begins := may()
					if begins {
						v.relay.began(a)
					}
					return begins
				}
				of = append(of, a)
			}
		}
		v.relay.add(of)
	}
	now := time.Now()
	for _, p := range picks { // stopped by a fence, or the round trip failed
		for ; p.n > 0; p.n-- {
			v.flights.free(v.Admission.Done(p.domain, queue.Outcome{State: queue.Deferred, Class: queue.NotBegun}, now))
		}
	}
	if err != nil {
		v.smalls.list = nil
		return fmt.Errorf("turns of small batches: %w", err)
	}
	return nil
}

const takeTurnsSQL = `SELECT * FROM enotify.take_turns($1, $2, $3, $4, $5, $6)`

// takeTurns gives the turn to small batches, one after the other, in one round
// trip: each takes it, begins all of its recipients and gives it on. It returns the
// recipients in that order. It leaves out a batch that has changed, and passes over the
// turns of those that strangers have locked.
func (db *store) takeTurns(ctx context.Context, node int32, batches []*small, held *leases,
	strange []int64) (got []picked, mark int64, err error) {
	var ids []int64
	var edits []int32
	for _, one := range batches {
		ids, edits = append(ids, one.ID), append(edits, int32(one.edits))
	}
	var grps []int16
	var epochs []int64
	for _, grp := range held.usable() {
		grps, epochs = append(grps, grp), append(epochs, held.held[grp])
	}
	var b pgx.Batch
	b.Queue(takeTurnsSQL, node, ids, edits, grps, epochs, strange).Query(func(rows pgx.Rows) (err error) {
		got, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (p picked, err error) {
			return p, row.Scan(&p.batch, &p.started, &p.seq, &p.domainID, &p.address, &p.data, &p.class, &p.suppressed,
				&p.counted)
		})
		return err
	})
	b.Queue(queue.MarkSQL, node, intents).QueryRow(func(row pgx.Row) error { return scanMark(row, &mark) })
	if err := db.pool.SendBatch(ctx, &b).Close(); err != nil { // the commit: only after it may anything begin
		return nil, 0, err
	}
	return got, mark, nil
}
