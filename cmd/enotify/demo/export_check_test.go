//go:build check

package demo

import (
	"encoding/json"

	"enotify/queue"
)

// A Sent is what the demo enqueues, and the data of one of its recipients.
type Sent struct {
	queue.Batch
	Data json.RawMessage
}

// Sents are the batches of the demo.
func Sents() (all []Sent) {
	for _, b := range []batch{newsletter(1), bakeryOffer(1), agenda(1), floodWarning(1)} {
		all = append(all, Sent{
			queue.Batch{From: b.from, FromName: b.fromName, Subject: b.subject, Text: b.text, HTML: b.html,
				Priority: b.priority}, b.recipients[0].Data,
		})
	}
	return all
}
