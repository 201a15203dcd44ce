package console

import (
	"context"
	"html/template"
	"slices"
	"strconv"
	"time"

	"enotify/queue"
	"enotify/queue/insight"
)

const (
	messagesShown = 20
	messagesSince = 90 * day
)

// A letter is a message to an address, with the colour of its state.
type letter struct {
	insight.AddressMessage
	Tone string
}

var letterTones = map[string]string{"delivered": "pass", "bounced": "block", "expired": "block", "deferred": "warn",
	"unknown": "ask", "suppressed": "none"}

// address is the page of one address: its suppressions, and the messages to it.
func (c *console) address(address string) []part {
	return []part{{"messages", 5 * time.Second, func(ctx context.Context) (template.HTML, error) {
		e, err := insight.Of(c.db).Explain(ctx, address, time.Now().Add(-messagesSince), messagesShown)
		if err != nil {
			return fill("summary", map[string]any{"Tone": "warn", "Word": "That is no address", "Say": err.Error(),
				"Facts": nil})
		}
		return c.letters(e, func(insight.AddressMessage) bool { return true })
	}}}
}

// message is the page of one message.
func (c *console) message(ctx context.Context, batch int64, seq string) ([]part, error) {
	n, err := strconv.ParseInt(seq, 10, 32)
	if err != nil {
		return nil, &queue.Problem{Noun: queue.NounRecipient, Name: seq, Err: queue.ErrNotFound}
	}
	who, err := c.db.Addressee(ctx, batch, int32(n))
	if err != nil {
		return nil, err
	}
	return []part{{"messages", 2 * time.Second, func(ctx context.Context) (template.HTML, error) {
		e, err := insight.Of(c.db).Explain(ctx, who.Address, time.Now().AddDate(-10, 0, 0), 200)
		if err != nil {
			return "", err
		}
		return c.letters(e, func(m insight.AddressMessage) bool { return m.BatchID == batch && int64(m.Seq) == n })
	}}}, nil
}

func (c *console) letters(e insight.Explanation, want func(insight.AddressMessage) bool) (template.HTML, error) {
	held := slices.ContainsFunc(e.Suppressions, func(s insight.SuppressedBy) bool { return !s.Ended })
	v := struct {
		Tone, Word, Say string
		Facts           []fact
		Messages        []letter
	}{Tone: "pass", Word: e.Address, Say: "Nothing keeps mail from it."}
	if held {
		v.Tone, v.Say = "warn", "It is suppressed: some mail, or all, is not sent to it."
	}
	for _, m := range e.Messages {
		if want(m) {
			v.Messages = append(v.Messages, letter{m, letterTones[m.State]})
		}
	}
	head, err := fill("summary", v)
	if err != nil {
		return "", err
	}
	holds, err := fill("suppressions", e.Suppressions)
	if err != nil {
		return "", err
	}
	messages, err := fill("messages", v)
	return head + holds + messages, err
}
