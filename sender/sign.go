package sender

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"enotify/queue"
	"enotify/sender/dkim"
)

// unsignedWait is how soon a message is tried again for which a key is missing
// on this node. The guard, which finds the same, stops the batch before that.
const unsignedWait = time.Minute

// sign puts a DKIM signature for each selector of the batch's client in front
// of the message in buf, as it will be sent but for the dots.
func (s *Sender) sign(buf []byte, l *letter) ([]byte, error) {
	keys, err := s.DKIM.Keys(l.batch.Client, l.batch.DKIMSelectors)
	if err != nil {
		return buf, err
	}
	end := bytes.Index(buf, []byte("\r\n\r\n"))
	header, body := buf[:end+2], buf[end+4:]
	hash := l.hashBody(body)
	var signatures []byte
	for _, key := range keys {
		// As of the Date that it signs: a clock of ours that is ahead would date it
		// into the future, and such a one may be ignored (RFC 6376 §3.5).
		signature, err := key.Sign(header, hash, l.batch.CreatedAt)
		if err != nil {
			return buf, err
		}
		signatures = append(signatures, signature...)
	}
	return slices.Insert(buf, 0, signatures...), nil
}

// hashBody takes the hash of the body, which is that of all messages of the
// batch where it has no merge fields.
func (l *letter) hashBody(body []byte) [sha256.Size]byte {
	if l.body == nil {
		return dkim.HashBody(body)
	}
	l.hashed.Do(func() { l.bodyHash = dkim.HashBody(body) })
	return l.bodyHash
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
		s.Log.LogAttrs(ctx, slog.LevelWarn, "held: the client's mail is to be signed, and cannot be here", slog.String("client", b.Client), slog.Int64("batch", b.ID), slog.Any("error", err))
	}
}
