package sender

import (
	"strings"

	"enotify/queue"
)

// Render returns the message for one recipient as Deliver would send it, signed
// where there is a directory of keys. The error says why that recipient would
// get none.
func (s *Sender) Render(m queue.Message) ([]byte, error) {
	l, err := s.letters.of(m.Batch)
	if err != nil {
		return nil, err
	}
	text, err := l.write(s.appendUnsubscribe(nil, m), m)
	if err != nil || len(m.Batch.DKIMSelectors) == 0 || s.DKIM.Path == "" {
		return text, err
	}
	return s.sign(text, l)
}

// HasMergeFields reports whether a part of a batch is filled for each recipient.
func HasMergeFields(part string) bool { return strings.Contains(part, "{{") }
