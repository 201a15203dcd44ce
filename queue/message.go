package queue

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"
)

// A Handler sends one message and returns its outcome. There is no error
// result: every attempt has an outcome.
//
// The handler must return soon after ctx ends, and must then still say the
// truth: [Unknown] when the receiver may have taken the message.
type Handler func(ctx context.Context, m Message) Outcome

// A Message is one recipient of a batch, ready to be sent.
type Message struct {
	Batch   *Batch          // shared by all messages of the batch; read only
	Seq     int32           // number within the batch, from 1
	Address string          // RFC 5321 Mailbox; its domain is lower case and in A-labels
	Domain  string          // the recipient domain, the part of Address after the last @
	Data    json.RawMessage // merge data, a JSON object; nil when there is none
	Attempt int             // 1 on the first try; tries that cost no attempt do not count
	Group   int16           // lease group of the domain's site: one node sends to it at a time

	// Egress are the addresses that the message may leave from, at most one of IPv4 and
	// one of IPv6; none lets the handler choose. They count for it, see [Outcome.Egress].
	Egress []Egress

	// MayBegin says whether the SMTP transaction may be begun; ask right before
	// it. It is false once the batch is paused, cancelled or blocked, or the
	// node has lost its lease: the outcome is then Deferred and NotBegun. A
	// transaction that has begun is finished.
	MayBegin func() bool

	// MayEnd says whether the last octets of the message may leave, the final dot
	// among them; ask right before. From then on the receiver may have the
	// message, and the node's journal says so. It is false when the journal cannot
	// be written: then cut the connection, and return Deferred and NotBegun.
	// After a kill, a message whose end was not asked for counts as not sent.
	MayEnd func() bool
}

// A Batch is one notification, to be sent to many recipients.
type Batch struct {
	ID     int64
	Client string // the registered domain we send for, in A-labels

	From            string   // address of the From: field
	FromName        string   // display name of the From: field; may be ""
	ReplyTo         string   // address; may be ""
	ReturnPath      string   // envelope sender (RFC 5321 §2.3.1) when the client has one of its own; else From is used
	Bounces         Bounces  // where it has a signed envelope sender per recipient instead
	DKIMSelectors   []string // of the client's keys (RFC 6376 §3.1): each signs the message
	Subject         string
	Text            string // body as text/plain; "" when there is only HTML
	HTML            string // body as text/html; "" when there is only Text
	ListUnsubscribe string // https: or mailto: URI of RFC 2369 / RFC 8058; may be "" and may hold merge fields
	Lang            string // language of the text (BCP 47), such as de or pt-BR; may be ""
	Headers         []Header
	Attachments     []Attachment

	// How the client's mail says that nobody should answer it by machine; "" leaves the field out.
	AutoSubmitted string // Auto-Submitted: (RFC 3834 §5): auto-generated
	Precedence    string // Precedence: bulk or list

	Edits     int // how many times its content was replaced
	Priority  int // the higher goes first
	CreatedAt time.Time
	StartedAt time.Time // of the first try: the Date: of every message, on every try; zero before it
	ExpiresAt time.Time // no attempt begins after it
	OnUnknown OnUnknown

	// TLSReport: it is a report on failures of TLS (RFC 8460), which no policy of the
	// receiver's may stop, and which only a node can make; see package queue/tlsreports.
	TLSReport bool

	// Read reads the batch with Text, HTML and Attachments, which are left out here since they
	// may be large; Octets is their size. It may wait for the database. [Batch.Whole] calls
	// it. Nil: they are here.
	Read   func(context.Context) (*Batch, error)
	Octets int
}

// Whole returns the batch with its Text, HTML and Attachments. Keep them no longer than they
// are needed: they may be read again. The error wraps [ErrEdited] when the content was
// replaced since, and [ErrUnreadable] when it cannot be read.
func (b *Batch) Whole(ctx context.Context) (*Batch, error) {
	if b.Read == nil {
		return b, nil
	}
	return b.Read(ctx)
}

// Size is that of Text, HTML and the contents of Attachments together, in octets.
func (b *Batch) Size() int {
	if b.Read != nil {
		return b.Octets
	}
	n := len(b.Text) + len(b.HTML)
	for _, a := range b.Attachments {
		n += len(a.Content)
	}
	return n
}

// A Header is a field of the header that the application gives every message of
// a batch.
type Header struct {
	Name  string
	Value string // may hold merge fields
}

// An Attachment is a file that every message of a batch carries.
type Attachment struct {
	Filename    string
	ContentType string // a media type; "" lets the file name decide
	ContentID   string // the name by which the HTML shows it, "cid:" before it; "" is none
	Content     []byte
}

// Bounces says what the envelope sender of a client's mail is, and so where its bounces go.
// The zero value is BounceOff.
type Bounces struct {
	Mode   BounceMode
	Domain string // of the signed return paths, when Mode is BounceOwn
}

// BounceMode is off, operator or own.
type BounceMode string

const (
	BounceOff      BounceMode = "off"      // the client's return path, or the From: address
	BounceOperator BounceMode = "operator" // signed, at the domain of the node that sends
	BounceOwn      BounceMode = "own"      // signed, at a domain of the client's, so that SPF and DMARC stay aligned
)

// At is the domain of the signed return paths, where the operator's is known;
// "" when they are not signed.
func (b Bounces) At(operator string) string {
	switch b.Mode {
	case BounceOwn:
		return b.Domain
	case BounceOperator:
		return operator
	}
	return ""
}

// OnUnknown says what happens to a recipient when it is unknown whether the receiver
// took the message: a node died, or a connection broke, after the message was sent and
// before the reply was read.
type OnUnknown string

const (
	Hold   OnUnknown = "hold"   // state unknown; the operator decides; never two copies
	Resend OnUnknown = "resend" // try again with the same Message-ID; the receiver may see it twice
)

// LevelAttempt is the level of log lines about one message, between debug and info.
const LevelAttempt slog.Level = -2

// MessageName is what log lines call a message: the begin of its Message-ID.
func MessageName(batch int64, seq int32) string { return fmt.Sprintf("enotify.%d.%d", batch, seq) }
