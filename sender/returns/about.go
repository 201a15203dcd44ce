package returns

import (
	"context"
	"errors"
	"strconv"
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
	ByHeaders   = "headers" // of a complaint that hides the recipient: it is counted and suppresses nobody
)

// About is the recipient that a mail is about. The zero value means nobody we know.
type About struct {
	How     string        // BySignature, ByMessageID or ByHeaders; "" is nobody
	Purpose token.Purpose // of the signature; Unsubscribe asks for that, whatever the mail says
	Subject token.Subject
}

// About decides whom a mail is about. The first of these that there is decides:
//
//  1. The address that the listener took it for, which we have signed.
//  2. An address that we have signed, which the mail says that it was sent to,
//     or returns as the envelope sender of ours (VERP).
//  3. Of a complaint, an address that we have signed in a field of the message
//     that it returns: CFBL-Address, or List-Unsubscribe. Mail providers hide the
//     recipient in their complaints (RFC 6590), and leave these fields.
//  4. Of a bounce or complaint, the Message-ID of ours that it returns, when it
//     also names the address that this message went to. Every recipient of a batch can write the
//     Message-ID of every other, so it alone is not enough.
//  5. Of a complaint, the Message-ID of ours when a Feedback-ID of the same batch
//     and client comes with it. That too another recipient can write, so such a
//     complaint is counted for the client, and suppresses nobody.
//
// An address alone, without a mark of ours, is nobody: anyone can write one, and
// would have it suppressed for all clients. Signatures hold whatever address the
// mail names, since forwarding changes it.
//
// The error says which key or message could not be looked up.
func (d *Desk) About(ctx context.Context, m Mail, said report.Report) (About, error) {
	if m.For != nil && m.For.To != "" {
		return About{BySignature, m.For.To, m.For.Subject}, nil
	}
	about, err := d.signed(ctx, append(said.SentTo, said.Original.ReturnPath))
	if err != nil || about.How != "" {
		return about, err
	}
	if said.Kind == report.Complaint {
		about, err := d.signed(ctx, fieldAddresses(said.Original))
		if err != nil || about.How != "" {
			about.Purpose = token.Complaint // whatever the field is good for: nobody wrote to its address
			return about, err
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
	}
	subject := token.Subject{Batch: id.Batch, Seq: id.Seq}
	switch {
	case names(said, address):
		return About{ByMessageID, token.Bounce, subject}, nil
	case said.Kind == report.Complaint && isFeedbackID(said.Original.FeedbackID, id):
		return About{ByHeaders, token.Complaint, subject}, nil
	}
	return About{}, nil
}

// signed is whom the first of the addresses names that we have signed.
func (d *Desk) signed(ctx context.Context, addresses []string) (About, error) {
	for _, address := range addresses {
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
	return About{}, nil
}

// fieldAddresses are the addresses in fields of a returned message that may be
// signed; the token of an unsubscribe page is one without its domain.
func fieldAddresses(o report.Original) []string {
	unfold := strings.NewReplacer("\n", "", "\r", "", "\t", "", " ", "")
	cfbl, _, _ := strings.Cut(unfold.Replace(o.CFBL), ";")
	all := []string{strings.Trim(cfbl, "<>")}
	for uri := range strings.SplitSeq(unfold.Replace(o.Unsubscribe), ",") {
		uri = strings.Trim(uri, "<>")
		if to, isMail := strings.CutPrefix(uri, "mailto:"); isMail {
			to, _, _ = strings.Cut(to, "?")
			all = append(all, to)
		} else if _, text, isPage := strings.Cut(uri, "/u/"); isPage {
			all = append(all, string(token.Unsubscribe)+"-"+text)
		}
	}
	return all
}

// isFeedbackID reports whether a Feedback-ID names the batch and client of a message.
func isFeedbackID(text string, id messageid.ID) bool {
	parts := strings.Split(strings.TrimSpace(text), ":")
	return len(parts) == 4 && parts[0] == strconv.FormatInt(id.Batch, 10) && strings.EqualFold(parts[1], id.Client)
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
