package returns

import (
	"context"
	"errors"
	"strings"

	"enotify/queue"
	"enotify/sender/bounce/report"
	"enotify/sender/messageid"
	"enotify/sender/token"
)

// How a mail says whom it is about. They are words for people and scripts, and do not change.
const (
	BySignature = "signature"
	ByMessageID = "message-id"
)

// About is whom a mail is about. The zero value is nobody we know.
type About struct {
	How     string        // BySignature or ByMessageID; "" is nobody
	Purpose token.Purpose // of the signature; Unsubscribe asks for that, whatever the mail says
	Subject token.Subject
}

// About decides whom a mail is about. The first of these that there is decides:
//
//  1. The address that the listener took it for, which we have signed.
//  2. An address that we have signed, which the mail says that it was sent to,
//     or returns as the envelope sender of ours (VERP).
//  3. Of a bounce or complaint, the Message-ID of ours that it returns, when it
//     also names the address that this message went to. Every recipient of a batch can write the
//     Message-ID of every other, so it alone is not enough.
//
// An address alone, without a mark of ours, is nobody: anyone can write one, and
// would have it suppressed for all clients. Signatures hold whatever address the
// mail names, since forwarding changes it.
//
// The error is that of a key or message that could not be looked up.
func (d *Desk) About(ctx context.Context, m Mail, said report.Report) (About, error) {
	if m.For != nil {
		return About{BySignature, m.For.To, m.For.Subject}, nil
	}
	for _, address := range append(said.SentTo, said.Original.ReturnPath) {
		purpose, text, ok := token.Split(address)
		if !ok {
			continue
		}
		switch subject, err := d.Open(ctx, purpose, text); {
		case err == nil:
			return About{BySignature, purpose, subject}, nil
		case !token.Refused(err):
			return About{}, err
		}
	}
	id, ok := messageid.Parse(said.Original.MessageID)
	if !ok || said.Kind != report.Bounce && said.Kind != report.Expired && said.Kind != report.Complaint {
		return About{}, nil
	}
	address, err := d.Queue.AboutMessage(ctx, id.Batch, id.Seq, id.Client, id.Created)
	switch {
	case errors.Is(err, queue.ErrNotFound):
		return About{}, nil
	case err != nil:
		return About{}, err
	case !names(said, address):
		return About{}, nil
	}
	return About{ByMessageID, token.Bounce, token.Subject{Batch: id.Batch, Seq: id.Seq}}, nil
}

// names reports whether a report is about an address.
func names(said report.Report, address string) bool {
	for _, r := range said.Recipients {
		if strings.EqualFold(r.Address, address) || strings.EqualFold(r.Was, address) {
			return true
		}
	}
	return false
}
