package sender

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"enotify/queue"
	"enotify/sender/compose"
	"enotify/sender/dkim"
)

// unsignedWait is how soon a message is tried again for which a key is missing
// on this node. The guard, which finds the same, stops the batch before that.
const unsignedWait = time.Minute

// keysOf are the keys that sign the messages of a batch; none where the client
// has no selectors. The error wraps errUnsigned.
func (s *Sender) keysOf(b *queue.Batch) ([]*dkim.Key, error) {
	if len(b.DKIMSelectors) == 0 {
		return nil, nil
	}
	keys, err := s.DKIM.Keys(b.Client, b.DKIMSelectors)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUnsigned, err)
	}
	return keys, nil
}

// sign signs a message with the keys of the batch's client. Its error wraps
// errUnsigned.
func (s *Sender) sign(b *queue.Batch, m *compose.Message) error {
	keys, err := s.keysOf(b)
	if err != nil {
		return err
	}
	for _, key := range keys {
		// As of the Date that it signs: a clock of ours that is ahead would date it
		// into the future, and such a one may be ignored (RFC 6376 §3.5).
		signature, err := key.Sign(m.Header(), m.BodyHash(), m.Date())
		if err != nil {
			return fmt.Errorf("%w: %w", errUnsigned, err)
		}
		m.Sign(signature)
	}
	return s.signAsOperator(m)
}

// signAsOperator adds the operator's signature beside the client's, for
// feedback loops that go by d=. The client's comes first in the header. Its error wraps errUnsigned.
func (s *Sender) signAsOperator(m *compose.Message) error {
	if s.Operator == nil {
		return nil
	}
	signature, err := s.Operator.Sign(m.Header(), m.BodyHash(), m.Date())
	if err != nil {
		return fmt.Errorf("%w: %w", errUnsigned, err)
	}
	m.Sign(signature)
	return nil
}

// withheld is the failure of a message that cannot be signed here.
func (s *Sender) withheld(ctx context.Context, site string, b *queue.Batch, err error) *failure {
	s.warnUnsigned(ctx, b, err)
	return &failure{stage: routing, site: site, err: err, after: unsignedWait}
}

// errUnsigned stands for a message that must be signed and cannot be. It says
// nothing of the recipient, and goes out once the key is there.
var errUnsigned = errors.New("not signed, and so not sent")

// A notice is given at most once a minute for each client.
type notices struct {
	mu   sync.Mutex
	last map[string]time.Time
}

func (n *notices) due(client string, now time.Time) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if now.Sub(n.last[client]) < time.Minute {
		return false
	}
	if n.last == nil {
		n.last = make(map[string]time.Time)
	}
	n.last[client] = now
	return true
}

func (s *Sender) warnUnsigned(ctx context.Context, b *queue.Batch, err error) {
	if s.Log != nil && s.unsigned.due(b.Client, time.Now()) {
		s.Log.LogAttrs(ctx, slog.LevelWarn, "held: the client's mail is to be signed, and cannot be here",
			slog.String("client", b.Client), slog.Int64("batch", b.ID), slog.Any("error", err))
	}
}
