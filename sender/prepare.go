package sender

import (
	"context"
	"errors"
	"fmt"
	"time"

	"enotify/queue"
	"enotify/sender/compose"
)

// memoryWait is how long a message with a connection waits for the memory that
// others have, before it lets others have the connection.
const memoryWait = 5 * time.Second

// prepare composes a message. Where nothing may be sent it returns none and sets the
// outcome; then there is nothing to release.
func (s *Sender) prepare(ctx context.Context, r *route, m *queue.Message, o *queue.Outcome) *compose.Message {
	letter, err := s.write(ctx, m)
	f := (*failure)(nil)
	switch {
	case err == nil && ctx.Err() == nil && (m.MayBegin == nil || m.MayBegin()):
		return letter
	case err == nil:
		letter.Release()
		f = &failure{stage: opening, site: r.site, err: errWithdrawn, ended: true}
	case errors.Is(err, errUnsigned):
		f = s.withheld(ctx, r.site, m.Batch, err)
	case errors.Is(err, errNoRoom), errors.Is(err, errNoContent):
		f = &failure{stage: opening, site: r.site, err: err, ended: ctx.Err() != nil, after: memoryWait}
	}
	unsent(o, f, err)
	return nil
}

// write composes a message, once there is memory for its batch's letter and for its own
// parts. Both are given back when the message has left, or is released.
func (s *Sender) write(ctx context.Context, m *queue.Message) (*compose.Message, error) {
	l, give, err := s.letters.Hold(ctx, m.Batch, 0)
	if errors.Is(err, compose.ErrNoRoom) {
		s.writings.makeWay(m.Batch.Client, s.makeWayAfter(), time.Now())
		l, give, err = s.letters.Hold(ctx, m.Batch, memoryWait)
	}
	if err != nil {
		return nil, unheld(err)
	}
	if need := l.Need(*m); need > compose.Free {
		giveOwn, err := s.makeRoom(ctx, m, need)
		if err != nil {
			give()
			return nil, err
		}
		giveLetter := give
		give = func() { giveOwn(); giveLetter() }
	}
	letter, err := s.compose(m, l, s.sign)
	if !errors.Is(err, errUnsigned) {
		judged := l.Judge(err)
		if judged != nil && err == nil { // the batch was found to be at fault meanwhile
			letter.Release()
		}
		err = judged
	}
	if err != nil {
		give()
		return nil, err
	}
	letter.Charge(give)
	return letter, nil
}

// unheld says in our terms why there is no letter: for want of memory, for want of the
// content, or, where nobody can read that or compose a message of it, for a fault of the batch.
func unheld(err error) error {
	fault := (*compose.Fault)(nil)
	switch {
	case errors.As(err, &fault):
		return err
	case errors.Is(err, queue.ErrUnreadable):
		return &compose.Fault{Err: err}
	case errors.Is(err, compose.ErrNoRoom):
		return errNoRoom
	}
	return fmt.Errorf("%w: %w", errNoContent, err)
}

// makeRoom waits for the memory that a message takes beside what it shares. The caller
// gives it back.
func (s *Sender) makeRoom(ctx context.Context, m *queue.Message, need int) (give func(), err error) {
	patient, cancel := context.WithTimeout(ctx, memoryWait)
	defer cancel()
	if give, err = s.memory.Take(patient, m.Batch.ID, need); err != nil {
		return nil, errNoRoom
	}
	return give, nil
}

// compose writes the message for one recipient, and has sign sign it. The
// caller releases it.
func (s *Sender) compose(m *queue.Message, l *compose.Letter,
	sign func(*queue.Batch, *compose.Message) error) (*compose.Message, error) {
	letter, err := l.Compose(*m, s.appendListFields(make([]byte, 0, 128), m))
	if err != nil || sign == nil {
		return letter, err
	}
	if err := sign(m.Batch, letter); err != nil {
		letter.Release()
		return nil, err
	}
	return letter, nil
}

// faultWait is how soon a message is tried again of a batch that is at fault;
// by then it is blocked.
const faultWait = 10 * time.Second

// unwritten is the outcome of a message that cannot be composed: the end of the
// recipient, or, where the batch is at fault, of the batch, at no cost to the
// recipient.
func unwritten(err error) queue.Outcome {
	if fault := (*compose.Fault)(nil); errors.As(err, &fault) {
		return queue.Outcome{State: queue.Deferred, Class: queue.NotBegun, Reply: queue.Reply{Text: clean(err.Error())},
			After: faultWait, Fault: clean(err.Error())}
	}
	return queue.Outcome{State: queue.Invalid, Class: queue.Content, Reply: queue.Reply{Text: clean(err.Error())}}
}
