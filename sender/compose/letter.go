package compose

import (
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"maps"
	"net/mail"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"
	"unicode/utf8"

	"enotify/queue"
)

// A Letter is a batch made ready to be written to anyone: its templates are
// read, and what is the same for all recipients is rendered and encoded. It is
// safe for concurrent use.
type Letter struct {
	batch *queue.Batch

	head        []byte // the fields that are the same for all
	subject     *part  // nil: in head
	unsubscribe *part  // nil: in head, or there is none of the batch's own
	merged      []mergedField

	html    *body
	text    *body
	derived *derived // where text is made of html

	mimeHead []byte // the fields that describe the body; nil where that is one text, whose encoding may differ
	slots    []slot
	size     int // octets of the part that is the same for all

	hashed   sync.Once
	bodyHash [sha256.Size]byte // of the body, where that is the same for all

	record *record
}

// A record is what the messages of a batch have shown. It outlives the letter.
type record struct {
	most     atomic.Int64 // octets that a message has taken beside what is shared
	overruns atomic.Int32 // messages that passed a limit
	failures atomic.Int32 // messages that could not be composed before the first that could
	composed atomic.Bool  // whether any could
	fault    atomic.Pointer[Fault]
}

// New makes a batch ready. The error, a *Fault, says why no message of it could
// be composed: a template that cannot be read, an address or a field that is none.
// What depends on a recipient's data shows when that recipient's turn comes.
func New(b *queue.Batch) (*Letter, error) {
	l, err := newLetter(b)
	if err != nil {
		return nil, &Fault{err}
	}
	return l, nil
}

func newLetter(b *queue.Batch) (*Letter, error) {
	if err := checkBatch(b); err != nil {
		return nil, err
	}
	l := &Letter{batch: b, record: &record{}}
	var errs [4]error
	var text, html *part
	l.subject, errs[0] = newPart("subject", b.Subject, false)
	l.unsubscribe, errs[1] = newPart("list-unsubscribe", b.ListUnsubscribe, false)
	text, errs[2] = newPart("text", b.Text, false)
	html, errs[3] = newPart("html", b.HTML, true)
	if err := oneLine(errs[:]); err != nil {
		return nil, err
	}
	if b.HTML != "" {
		l.html = newBody(html, "text/html; charset=UTF-8")
	}
	switch {
	case b.Text != "" || b.HTML == "":
		l.text = newBody(text, "text/plain; charset=UTF-8")
	default:
		l.derived = newDerived(html)
		l.text = newBody(l.derived.part, "text/plain; charset=UTF-8")
	}
	e, err := newEntity(b, l.text, l.html)
	if err != nil {
		return nil, err
	}
	n := 0
	l.mimeHead, l.slots = e.flatten(l.tag(), &n)
	if err := l.writeHead(); err != nil {
		return nil, err
	}
	l.measure()
	return l, nil
}

// oneLine joins all errors in one line; it is nil when there are none.
func oneLine(errs []error) error {
	var found error
	for _, err := range errs {
		switch {
		case err == nil:
		case found == nil:
			found = err
		default:
			found = fmt.Errorf("%w; %w", found, err)
		}
	}
	return found
}

// Check reports why no message of the batch could be composed.
func Check(b *queue.Batch) error {
	_, err := New(b)
	return err
}

// tag tells the boundaries of a batch from the boundaries of any other.
func (l *Letter) tag() string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d %d", l.batch.Client, l.batch.ID, l.batch.CreatedAt.UnixMicro()))
	return strings.ToLower(base32.StdEncoding.EncodeToString(sum[:10]))
}

func (l *Letter) measure() {
	l.size = len(l.head) + len(l.mimeHead)
	for _, s := range l.slots {
		l.size += len(s.fixed.plain)
		if len(s.fixed.wire) != len(s.fixed.plain) {
			l.size += len(s.fixed.wire)
		}
	}
	for _, b := range []*body{l.text, l.html} {
		if b == nil {
			continue
		}
		for _, c := range []*coded{b.seven, b.qp} {
			if c != nil {
				l.size += c.size()
			}
		}
	}
}

// Judge takes note of what Compose said of a message that was to be sent. Where the batch is
// at fault, and not one recipient's data, it returns the *Fault, from then on for each
// message; else err.
func (l *Letter) Judge(err error) error {
	switch {
	case l.record.fault.Load() != nil:
	case err == nil:
		l.record.composed.Store(true)
		return nil
	case limited(err) != nil:
		if l.record.overruns.Add(1) >= maxOverruns {
			l.record.fault.CompareAndSwap(nil, &Fault{fmt.Errorf("for %d recipients a template did more than it may: %w",
				maxOverruns, err)})
		}
	case !l.record.composed.Load():
		if l.record.failures.Add(1) >= maxFailures {
			l.record.fault.CompareAndSwap(nil, &Fault{fmt.Errorf("none of the first %d recipients could get a message: %w",
				maxFailures, err)})
		}
	}
	if f := l.record.fault.Load(); f != nil {
		return f
	}
	return err
}

// Need estimates the memory, in octets, that the message for m takes beside the shared parts.
func (l *Letter) Need(m queue.Message) int {
	if l.same() {
		return 0
	}
	need := max(int(l.record.most.Load()), 4*len(m.Data))
	if need == 0 || l.record.most.Load() == 0 && !l.plain() {
		return maxOutput
	}
	return need
}

// plain reports whether the bodies are filled with values of the data, and
// with nothing that grows beyond them.
func (l *Letter) plain() bool {
	return l.text.part.programs == nil && (l.html == nil || l.html.part.programs == nil)
}

// same reports whether the body is the same for all recipients.
func (l *Letter) same() bool {
	return l.text.part.holes() == 0 && (l.html == nil || l.html.part.holes() == 0)
}

// merges reports whether anything is filled from a recipient's data.
func (l *Letter) merges() bool {
	return l.subject != nil || l.unsubscribe != nil || len(l.merged) > 0 || !l.same()
}

// checkBatch looks at what goes into fields of the header.
func checkBatch(b *queue.Batch) error {
	if err := checkAddress("from address", b.From); err != nil {
		return err
	}
	if b.ReplyTo != "" {
		if err := checkAddress("reply-to address", b.ReplyTo); err != nil {
			return err
		}
	}
	if strings.ContainsFunc(b.FromName, unicode.IsControl) {
		return errors.New("the from name holds a line break or other control character")
	}
	if strings.ContainsAny(b.ReturnPath, " \r\n\x00") {
		return errors.New("the return path holds a space or line break")
	}
	if b.From != "" && b.Text == "" && b.HTML == "" && len(b.Attachments) > maxAttachments {
		return fmt.Errorf("%d attachments, where a message may have %d", len(b.Attachments), maxAttachments)
	}
	return nil
}

const (
	maxAttachments = 20
	maxSubject     = 900 // characters
	maxFilename    = 200 // characters
)

func checkAddress(name, address string) error {
	parsed, err := mail.ParseAddress(address)
	if err == nil && parsed.Name != "" {
		return fmt.Errorf("the %s %q has a name in it: give %s alone, and the name %q apart", name, address, parsed.Address,
			parsed.Name)
	}
	if err != nil || strings.ContainsAny(address, "<>\r\n") {
		return fmt.Errorf("the %s %q is no mail address", name, address)
	}
	return nil
}

func checkFilename(name string) error {
	switch {
	case name == "":
		return errors.New("an attachment has no file name")
	case strings.ContainsFunc(name, unicode.IsControl):
		return fmt.Errorf("attachment %q: its file name holds a line break or other control character", name)
	case !utf8.ValidString(name):
		return fmt.Errorf("attachment %q: its file name is not in UTF-8", name)
	case utf8.RuneCountInString(name) > maxFilename:
		return fmt.Errorf("attachment %.40q…: its file name has %d characters, where %d are allowed", name,
			utf8.RuneCountInString(name), maxFilename)
	}
	return nil
}

func checkSubject(subject string) error {
	if strings.ContainsFunc(subject, unicode.IsControl) {
		return errors.New("the subject holds a tab, line break or other control character")
	}
	if n := utf8.RuneCountInString(subject); n > maxSubject {
		return fmt.Errorf("the subject has %d characters, where %d are allowed", n, maxSubject)
	}
	return nil
}

// writeHead writes the fields that are the same for all, and keeps the parts of
// the others.
func (l *Letter) writeHead() error {
	b := l.batch
	h := make([]byte, 0, 512)
	h = appendField(h, "Date", l.Date().UTC().Format("Mon, 02 Jan 2006 15:04:05 -0700"))
	h = appendMailbox(h, "From", b.FromName, b.From)
	if b.ReplyTo != "" {
		h = appendMailbox(h, "Reply-To", "", b.ReplyTo)
	}
	if l.subject.holes() == 0 {
		if err := checkSubject(l.subject.literals[0]); err != nil {
			return err
		}
		h = appendText(h, "Subject", l.subject.literals[0])
		l.subject = nil
	}
	// RFC 3834 §5: keeps vacation replies away, as the List- fields do.
	if b.AutoSubmitted != "" {
		h = appendField(h, "Auto-Submitted", b.AutoSubmitted)
	}
	if b.Precedence != "" {
		h = appendField(h, "Precedence", b.Precedence)
	}
	if b.Lang != "" {
		h = appendField(h, "Content-Language", b.Lang)
	}
	h = appendListID(h, b)
	var err error
	if h, l.merged, err = appendOwn(h, b.Headers); err != nil {
		return err
	}
	if l.unsubscribe.holes() == 0 {
		if uri := l.unsubscribe.literals[0]; uri != "" {
			if h, err = appendUnsubscribe(h, uri); err != nil {
				return err
			}
		}
		l.unsubscribe = nil
	}
	l.head = h
	return nil
}

// Date is the date of all messages, on every try: the time of the first try.
func (l *Letter) Date() time.Time {
	if l.batch.StartedAt.IsZero() {
		return l.batch.CreatedAt
	}
	return l.batch.StartedAt
}

// appendUnsubscribe adds the fields of RFC 2369 §3.2 and, for what a mail
// program may post to without asking, RFC 8058 §3.1.
func appendUnsubscribe(h []byte, uri string) ([]byte, error) {
	scheme, _, found := strings.Cut(uri, ":")
	unfit := func(r rune) bool { return r <= ' ' || r > '~' || r == '<' || r == '>' || r == '"' }
	if !found || strings.ContainsFunc(uri, unfit) || len(uri) > maxLine-30 {
		return h, fmt.Errorf("list-unsubscribe: %q is no URI", uri)
	}
	scheme = strings.ToLower(scheme)
	switch scheme {
	case "https", "http", "mailto":
	default:
		return h, fmt.Errorf("list-unsubscribe: %q is no https: or mailto: URI", uri)
	}
	h = append(append(append(h, "List-Unsubscribe: <"...), uri...), ">\r\n"...)
	if scheme == "https" {
		h = append(h, "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"...)
	}
	return h, nil
}

func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }

// isToken holds for a token of RFC 2045 §5.1.
func isToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s,
		func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`()<>@,;:\"/[]?=`, r) })
}
