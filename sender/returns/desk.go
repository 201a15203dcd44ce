package returns

import (
	"context"
	"errors"
	"fmt"
	"time"

	"enotify/queue"
	"enotify/sender/bounce/report"
	"enotify/sender/inbound"
	"enotify/sender/token"
)

// A Mail is a mail that came back.
type Mail struct {
	Name string        // for people: the file, and in an mbox the number in it
	Raw  []byte        // at most report.MaxBytes of it
	Err  error         // why it could not be read; it is then all there is
	For  *inbound.Mail // the listener took it; nil: it is from a mailbox
}

// A Queue knows the recipients, and keeps what is said of them. Errors about a
// recipient who is not there, or not any more, wrap queue.ErrNotFound.
type Queue interface {
	Addressee(ctx context.Context, batch int64, seq int32) (queue.Addressee, error)
	AboutMessage(ctx context.Context, batch int64, seq int32, client string, created time.Time) (address string,
		err error)
	RecordReport(ctx context.Context, r queue.Report) (queue.Recorded, error)
	Unsubscribe(ctx context.Context, batch int64, seq int32, how string) (queue.Addressee, error)
}

// A Desk takes mail that came back. Queue and Open must be set.
type Desk struct {
	Queue Queue
	// Open returns the recipient that a token names, as token.Keys.Open does.
	Open   func(ctx context.Context, p token.Purpose, text string) (token.Subject, error)
	Reader report.Reader // by whose rules mails are read
	// Taken is told of what the listener took and had recorded, and of mail at a
	// fixed address that is about nobody we know; nil is nobody.
	Taken func(Taken)
}

// Taken is a mail, and what was done about it.
type Taken struct {
	Said  report.Report // what it says
	About About         // whom it is about

	Client   string         // the client, a domain, whose mail it is about
	Report   queue.Report   // what was recorded; the zero value of a mail to unsubscribe
	Recorded queue.Recorded // what followed
}

// Unsubscribed reports whether the mail was one to unsubscribe.
func (t Taken) Unsubscribed() bool { return t.About.Purpose == token.Unsubscribe }

// Take reads a mail and has it recorded. A mail about nobody we know is not an
// error. The error wraps queue.ErrNotFound when the recipient is not there any more.
func (d *Desk) Take(ctx context.Context, m Mail) (t Taken, err error) {
	t.Said = d.Reader.Read(m.Raw)
	if t.About, err = d.About(ctx, m, t.Said); err != nil || t.About.How == "" {
		return t, err
	}
	of := t.About.Subject
	if t.Unsubscribed() {
		who, err := d.Queue.Unsubscribe(ctx, of.Batch, of.Seq, "by mail")
		t.Client = who.Client
		return t, err
	}
	who, err := d.Queue.Addressee(ctx, of.Batch, of.Seq)
	if err != nil {
		return t, err
	}
	t.Client = who.Client
	t.Report = saidOf(of, who.Address, t.Said, m.Raw)
	t.Report.Signed, t.Report.Via = t.About.How == BySignature, queue.ViaIngest
	t.Report.CountOnly = t.About.How == ByHeaders
	if m.For != nil {
		t.Report.Via = queue.ViaListener
	}
	t.Recorded, err = d.Queue.RecordReport(ctx, t.Report)
	return t, err
}

// Known reports whether a recipient is still known, as package inbound asks it.
func (d *Desk) Known(ctx context.Context, s token.Subject) error {
	_, err := d.Queue.Addressee(ctx, s.Batch, s.Seq)
	return err
}

// Deliver takes a mail from the listener, as package inbound hands it on.
func (d *Desk) Deliver(ctx context.Context, m inbound.Mail) error {
	t, err := d.Take(ctx, Mail{Raw: m.Data, For: &m})
	if m.To == "" && errors.Is(err, queue.ErrNotFound) { // the address is there all the same
		t.About, err = About{}, nil
	}
	if err != nil && m.To == "" {
		return fmt.Errorf("mail of a feedback loop: %w", err)
	}
	if err != nil {
		return fmt.Errorf("mail for recipient %d of batch %d: %w", m.Subject.Seq, m.Subject.Batch, err)
	}
	if d.Taken != nil {
		d.Taken(t)
	}
	return nil
}
