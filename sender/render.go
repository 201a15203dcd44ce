package sender

import "enotify/queue"

// Render returns the message for one recipient as Deliver would send it, signed
// where there is a directory of keys. The error says why that recipient would
// get none.
func (s *Sender) Render(m queue.Message) ([]byte, error) {
	l, err := s.letters.Of(m.Batch)
	if err != nil {
		return nil, err
	}
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
