package sender

import (
	"context"

	"enotify/queue"
)

// Render returns the message for one recipient as Deliver would send it, signed
// where there is a directory of keys. The error says why that recipient would
// get none.
func (s *Sender) Render(m queue.Message) ([]byte, error) {
	l, give, err := s.letters.Hold(context.Background(), m.Batch, memoryWait)
	if err != nil {
		return nil, err
	}
	defer give()
	sign := s.sign
	if s.DKIM.Path == "" {
		sign = nil
	}
	letter, err := s.compose(&m, l, sign)
	if err != nil {
		return nil, err
	}
	defer letter.Release()
	return letter.Bytes(), nil
}
