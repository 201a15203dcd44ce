package sender

import "enotify/queue"

// For benchmarks of composition alone.

func NewLetter(b *queue.Batch) (*letter, error) { return newLetter(b) }

func (l *letter) Write(buf []byte, m queue.Message) ([]byte, error) { return l.write(buf, m) }
