package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"enotify/queue"
)

// BatchDomainsSQL asks which domains of a batch are not in the group of their site.
const BatchDomainsSQL = batchDomainsSQL

// WriteJournal writes the lines of messages to a new journal while more says so.
func WriteJournal(dir string, more func() bool) error {
	j, err := openJournal(dir, "test", newIncarnation())
	if err != nil {
		return err
	}
	defer j.remove()
	var rs []*result
	for seq := int32(1); more(); seq++ {
		r := &result{grp: 5, Result: queue.Result{Batch: 1234, Seq: seq, DomainID: 77, Try: 1,
			Outcome: queue.Outcome{State: queue.Delivered, Host: "mx1.example.org", Site: "example.org",
				Reply: queue.Reply{Code: 250, Enhanced: "2.0.0",
					Text: "OK  1732320000 a640c23a62f3a-aa50f572eb5si393812366b.45 - gsmtp"}}}}
		if !j.ending(r) {
			return j.err
		}
		j.end(r)
		if rs = append(rs, r); len(rs) == minFlush {
			j.recorded(1, int64(seq), rs)
			rs = rs[:0]
		}
	}
	return j.err
}

// WriteJournalTogether has goroutines write the lines of so many messages each, and
// calls left when a message may leave. It turns the page as often as it can.
func WriteJournalTogether(dir string, goroutines, each int, left func(file string, seq int32)) error {
	j, err := openJournal(dir, "test", newIncarnation())
	if err != nil {
		return err
	}
	defer j.close()
	var all sync.WaitGroup
	for g := range int32(goroutines) {
		all.Go(func() {
			for i := range int32(each) {
				r := result{Result: queue.Result{Batch: 1234, Seq: g*int32(each) + i + 1, Try: 1,
					Outcome: queue.Outcome{State: queue.Delivered}}}
				if j.ending(&r) {
					left(filepath.Join(j.dir, journalFile), r.Seq)
				}
				j.end(&r)
				if i%2 == 0 {
					j.mu.Lock()
					j.limit = 0
					j.mu.Unlock()
					j.recorded(int16(g), int64(i), []*result{&r})
				}
			}
		})
	}
	all.Wait()
	return j.err
}

// FailJournal reports whether messages may leave before the file of a journal takes no
// more, when it does, and once the journal has healed.
func FailJournal(dir string) (before, during, after bool, err error) {
	j, err := openJournal(dir, "test", newIncarnation())
	if err != nil {
		return false, false, false, err
	}
	defer j.close()
	of := func(seq int32) *result { return &result{Result: queue.Result{Batch: 1, Seq: seq, Try: 1}} }
	before = j.ending(of(1))
	if err := j.file.Close(); err != nil {
		return false, false, false, err
	}
	during = j.ending(of(2)) || j.ending(of(3))
	err = j.heal()
	after = j.ending(of(4))
	if p, read := readJournal(j.dir, bootID()); read != nil || len(p.left) != 2 {
		err = fmt.Errorf("lines after a new file has begun: got %v (%w), want those of 1 and 4", p.left, read)
	}
	return before, during, after, err
}

// Unrecorded reads the journal in a folder, and counts the results that are not recorded.
// It reports whether each line was whole.
func Unrecorded(dir string) (results int, complete bool, err error) {
	dirs, err := filepath.Glob(filepath.Join(dir, "*"+journalFolder))
	if err != nil || len(dirs) != 1 {
		return 0, false, fmt.Errorf("journals: %v (%w)", dirs, err)
	}
	p, err := readJournal(dirs[0], bootID())
	if err != nil {
		return 0, false, err
	}
	return len(p.results), p.complete && p.doubts() == 0, nil
}

// KeepMemos writes memos as the given node does.
func KeepMemos(ctx context.Context, db *queue.DB, node int32, memos []queue.Memo) ([]queue.Memo, error) {
	return newStore(db).keepMemos(ctx, node, memos)
}

// GiveBack has a node give back all groups that it holds; doubtful is whether it
// does not know if its last intent was written.
func GiveBack(ctx context.Context, db *queue.DB, id int32, doubtful bool) error {
	v := newServing(&Server{DB: db}, newStore(db), node{Node: queue.Node{ID: id}}, nil, slog.New(slog.DiscardHandler))
	for grp := range int16(groups) {
		v.leases.held[grp] = 1
	}
	if doubtful {
		v.phase = unsure
	}
	return v.giveBack(ctx, 0)
}

// TriesBegun writes a journal on tries of one recipient, and returns those that
// a reader must take for begun.
func TriesBegun(dir string, write func(begin, end, recorded func(try int))) (tries []int, err error) {
	j, err := openJournal(dir, "test", newIncarnation())
	if err != nil {
		return nil, err
	}
	defer j.remove()
	of := func(try int) *result {
		return &result{Result: queue.Result{Batch: 1, Seq: 1, Try: try,
			Outcome: queue.Outcome{State: queue.Bounced, Class: queue.AuthRejected}}}
	}
	write(func(try int) { j.ending(of(try)) }, func(try int) { j.end(of(try)) },
		func(try int) { j.recorded(1, int64(try), []*result{of(try)}) })
	text, err := os.ReadFile(filepath.Join(j.dir, journalFile))
	if err != nil {
		return nil, err
	}
	p, err := parseJournal(text, bootID())
	for f := range p.left {
		tries = append(tries, int(f.try))
	}
	return tries, err
}

// Reread writes a result to a journal, and returns what a reader finds.
func Reread(dir string, r queue.Result) (found queue.Result, err error) {
	j, err := openJournal(dir, "test", newIncarnation())
	if err != nil {
		return found, err
	}
	defer j.remove()
	of := result{Result: r}
	j.ending(&of)
	j.end(&of)
	text, err := os.ReadFile(filepath.Join(j.dir, journalFile))
	if err != nil {
		return found, err
	}
	p, err := parseJournal(text, bootID())
	for _, r := range p.results {
		found = r.Result
	}
	return found, err
}

// ContentsKept is how many octets of contents a server that runs has in memory.
func (s *Server) ContentsKept() int {
	v := s.current.Load()
	if v == nil {
		return 0
	}
	v.contents.mu.Lock()
	defer v.contents.mu.Unlock()
	return v.contents.octets
}

// Turns is how often the loop of a server has turned.
func (s *Server) Turns() int64 { return s.turns.Load() }

// Tests do not wait a minute for a turn that does not move.
func init() { stallTime = 2 * time.Second }

// FollowClock lets a clock follow answers, each with when it was asked, when it was
// answered and what it says, and returns what the clock shows then.
func FollowClock(then time.Time, answers ...[3]time.Time) time.Time {
	c := clock{answers[0][2], answers[0][0]}
	for _, a := range answers[1:] {
		c = c.follow(a[0], a[1], a[2])
	}
	return c.at(then)
}

// AppendOutcome appends an outcome as the journal has it.
func AppendOutcome(to []byte, o *queue.Outcome) ([]byte, error) { return appendOutcome(to, o) }

// ReadyToWrite is how many results are written next, final and deferred ones, of so many
// that wait while a writer has others: the first deferred one since a while, the last final
// one since another. Last says that the node ends.
func ReadyToWrite(final, deferred, writing int, since, quiet time.Duration, last bool) (finals, others int) {
	now := time.Now()
	f := &flusher{pending: make([]*result, final), deferred: make([]*result, deferred), writing: writing,
		since: now.Add(-since), final: now.Add(-quiet), closed: last, again: time.NewTimer(time.Hour)}
	defer f.again.Stop()
	return f.ready(now, time.Time{})
}

// ReadyAtRest is how many of so many final results a writer takes that rests for as long.
func ReadyAtRest(final int, rest time.Duration) int {
	now := time.Now()
	f := &flusher{pending: make([]*result, final)}
	finals, _ := f.ready(now, now.Add(rest))
	return finals
}

// DeferralsDue is how long after it was found a deferral is written, when many messages
// begin at the given times after that.
func DeferralsDue(begin ...time.Duration) time.Duration {
	found := time.Now()
	var d deferrals
	d.add(deferral{lane: &lane{waiting: 1}, n: 1}, found)
	for _, after := range begin {
		d.began(found.Add(after))
	}
	return d.due.Sub(found)
}

// StillDeferred finds recipients of a domain of an Admission to defer, calls meanwhile, and
// returns how many are deferred then, for how long and with which reply; left is how many
// of them messages have not begun to meanwhile.
func StillDeferred(s *Server, domain string, waiting, left int, meanwhile func()) (int, time.Duration, queue.Reply) {
	v := newServing(s, nil, node{}, nil, slog.New(slog.DiscardHandler))
	l := &lane{domain: domain, waiting: waiting}
	v.shut(l, 1, time.Now())
	meanwhile()
	l.waiting = left
	for _, d := range v.standing(v.deferrals.take(), time.Now()) {
		return d.n, d.wait, d.Reply
	}
	return 0, 0, queue.Reply{}
}

// WrittenBehindAFailure has a pipeline write four intents: the second fails, the third was
// picked before that was known, the fourth after. It returns which ones were written, and
// which failed.
func WrittenBehindAFailure() (written, failed []int) {
	p := newPipeline(func(in *intent) {
		written = append(written, in.n)
		if in.n == 2 {
			in.err = errors.New("the answer is lost")
		}
	})
	go p.run()
	defer close(p.todo)
	take := func() {
		in := <-p.done
		p.open = p.open[1:]
		if in.err != nil {
			failed = append(failed, in.n)
		}
	}
	p.send(&intent{n: 1})
	p.send(&intent{n: 2})
	take()
	p.send(&intent{n: 3})
	take()
	take()
	p.send(&intent{n: 4})
	take()
	return written, failed
}

// A PickOf is a pick, or a lane, of a batch in a domain.
type PickOf struct {
	Batch         int64
	Domain        string
	Retry, PutOff bool
}

// OthersOnTheirWay reports whether a lane waits for an open intent of the given picks.
func OthersOnTheirWay(open []PickOf, of PickOf) bool {
	lane := func(p PickOf) *lane { return &lane{batch: p.Batch, domain: p.Domain, retry: p.Retry, putOff: p.PutOff} }
	in := &intent{}
	for _, p := range open {
		in.picks = append(in.picks, pick{lane: lane(p)})
	}
	p := newPipeline(nil)
	p.send(in)
	return p.others(lane(of))
}

// Looks are the times of looks at small batches when there is always reason for one: from a
// start, so many of them that take so long.
func Looks(start time.Time, n int, took time.Duration) (at []time.Time) {
	var l looks
	now := start
	for range n {
		if next := l.next(); now.Before(next) {
			now = next
		}
		at = append(at, now)
		l.note(now, took)
		now = now.Add(took)
	}
	return at
}

// SlowFlights begins three messages, has those recorded that are at the given places, begins
// another one, and returns the numbers of those that are under way, the oldest first, and how
// many are slow once all have taken long enough.
func SlowFlights(recorded ...int) (underWay []int32, slow int) {
	f, begun := newFlights(), time.Now()
	var rs []*result
	for seq := range int32(3) {
		rs = append(rs, &result{Result: queue.Result{Seq: seq}, begun: begun})
	}
	f.begin(rs)
	for _, i := range recorded {
		f.recorded([]*result{rs[i]})
	}
	f.begin([]*result{{Result: queue.Result{Seq: 3}, begun: begun}})
	all, places := f.taken(10, begun.Add(slowAfter))
	for _, one := range f.list() {
		underWay = append(underWay, one.seq)
	}
	return underWay, all - places
}
