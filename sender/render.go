package sender

import (
	"strings"

	"enotify/queue"
)

// A Renderer writes the messages of a batch as Deliver sends them, for whoever
// wants to see one before.
type Renderer struct{ letter *letter }

// NewRenderer fails when no message of the batch could be composed.
func NewRenderer(b *queue.Batch) (*Renderer, error) {
	l, err := newLetter(b)
	if err != nil {
		return nil, err
	}
	return &Renderer{l}, nil
}

// Render returns the message for one recipient. Its error says why that
// recipient would get none.
func (r *Renderer) Render(m queue.Message) ([]byte, error) { return r.letter.write(nil, m) }

// HasMergeFields reports whether a part of a batch is filled for each recipient.
func HasMergeFields(part string) bool { return strings.Contains(part, "{{") }
