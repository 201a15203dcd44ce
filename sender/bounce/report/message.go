package report

import (
	"bytes"
	"regexp"
	"strings"

	"github.com/jhillyerd/enmime/v2"

	"enotify/sender/bounce"
)

// A message is a mail taken apart, as far as reports need it.
type message struct {
	head     fields
	text     string   // what it says to people, without what it returns
	status   []fields // groups of RFC 3464 §2.1; nil when it has none
	feedback fields   // of RFC 5965 §3; nil when it has none
	receipt  bool     // a notice of RFC 8098, that it was read or thrown away
	returned fields   // header of the message it is about
	rules    bounce.Rules
}

func parse(raw []byte) *message {
	raw = raw[:min(len(raw), MaxBytes)]
	if bytes.HasPrefix(raw, []byte("From ")) { // the line that begins a message of an mbox
		_, raw, _ = bytes.Cut(raw, []byte("\n"))
	}
	m := &message{}
	if first, _, _ := strings.Cut(string(raw[:min(len(raw), 200)]), "\n"); !isField(first) {
		m.text = string(raw) // the header was lost on the way
	} else {
		var body string
		m.head, body = readFields(string(raw))
		m.read(raw, body)
	}
	m.split()
	return m
}

func isField(line string) bool {
	_, _, ok := cutField(line)
	return ok
}

// parser takes what is there. It never gets to multiparts without end, see tame.
var parser = enmime.NewParser(enmime.SkipMalformedParts(true), enmime.MultipartWOBoundaryAsSinglePart(true),
	enmime.DisableTextConversion(true), enmime.MaxStoredPartErrors(1))

// read sorts the parts of MIME. Mail that is too broken, or too deep, is text.
func (m *message) read(raw []byte, body string) {
	m.text = body
	if raw = firstParts(raw); !tame(raw) {
		return
	}
	root, err := parser.ReadParts(bytes.NewReader(raw))
	if err != nil || root == nil {
		return
	}
	var text, marked strings.Builder
	n := 0
	root.DepthMatchAll(func(p *enmime.Part) bool {
		if n++; n <= maxParts && p.FirstChild == nil {
			m.sort(p, &text, &marked)
		}
		return false
	})
	switch {
	case strings.TrimSpace(text.String()) != "":
		m.text = text.String()
	case marked.Len() > 0:
		m.text = unmarked(marked.String())
	case n > 1: // else a multipart whose boundary nobody wrote
		m.text = ""
	}
}

func (m *message) sort(p *enmime.Part, text, marked *strings.Builder) {
	content := string(p.Content)
	switch kind := strings.ToLower(p.ContentType); kind {
	case "message/delivery-status", "message/global-delivery-status": // RFC 3464, RFC 6533
		m.status = append(m.status, groups(content)...)
	case "message/feedback-report": // RFC 5965
		m.feedback, _ = readFields(strings.TrimLeft(content, "\r\n"))
		if m.feedback == nil {
			m.feedback = fields{}
		}
	case "message/disposition-notification", "message/global-disposition-notification": // RFC 8098
		m.receipt = true
	case "message/rfc822", "text/rfc822-headers", "text/rfc822", "message/global", "message/global-headers",
		"message/partial":
		if m.returned == nil {
			m.returned, _ = readFields(strings.TrimLeft(content, "\r\n"))
		}
	case "text/html":
		marked.WriteString(content)
	case "", "text/plain", "text", "multipart/report", "multipart/mixed": // a multipart without its boundary
		if m.status == nil || m.returned == nil { // what follows them is a footer that a list added
			text.WriteString(content)
			text.WriteString("\n")
		}
	}
}

// aBoundary is what follows the word in a Content-Type.
var aBoundary = regexp.MustCompile(`^[ \t]*=[ \t]*(?:"([^"\r\n]{1,70})"|([^\s";]{1,70}))`)

// firstParts cuts a mail off behind as many parts as are looked at. Parts may
// be empty and without number, and the parser takes longer for each.
func firstParts(raw []byte) []byte {
	var boundaries [][]byte
	lower := bytes.ToLower(raw)
	for at := 0; len(boundaries) < maxDepth; {
		next := bytes.Index(lower[at:], []byte("boundary"))
		if next < 0 {
			break
		}
		at += next + len("boundary")
		if match := aBoundary.FindSubmatch(raw[at:min(len(raw), at+200)]); match != nil {
			boundaries = append(boundaries, append(match[1], match[2]...))
		}
	}
	if n := len(boundaries); n > usualDepth { // each level is read through all those around it
		raw = raw[:len(raw)*usualDepth/n]
	}
	parts := 0
	for at := 0; ; {
		next := bytes.Index(raw[at:], []byte("\n--"))
		if next < 0 {
			return raw
		}
		at += next + len("\n--")
		for _, b := range boundaries {
			if bytes.HasPrefix(raw[at:], b) {
				if parts++; parts > maxParts {
					return raw[:at-len("--")]
				}
				break
			}
		}
	}
}

// tame reports whether a parser that reads multiparts into one another may be
// let at the mail: each level copies what is in it.
func tame(raw []byte) bool {
	lower := bytes.ToLower(raw)
	return bytes.Count(lower, []byte("boundary")) <= maxDepth &&
		bytes.Count(lower, []byte("\ncontent-type:")) <= maxParts
}

// split takes the returned message, and fields for programs, out of the text.
// What separates them is said in all languages; what a header looks like is not.
func (m *message) split() {
	text := strings.ReplaceAll(strings.ToValidUTF8(m.text, "\uFFFD"), "\r\n", "\n")
	text = text[:min(len(text), 4*maxText)]
	if m.status == nil {
		if at := aStatus.FindStringIndex(text); at != nil {
			m.status = groups(text[at[0]:])
		}
	}
	if at := headerIn(text); at >= 0 {
		if m.returned == nil {
			m.returned, _ = readFields(text[at:])
		}
		text = text[:at]
	}
	if at := aStatus.FindStringIndex(text); at != nil {
		text = text[:at[0]]
	}
	m.text = text[:min(len(text), maxText)]
}

// aStatus begins fields of RFC 3464 that somebody has put into the text.
var aStatus = regexp.MustCompile(`(?im)^(?:Reporting-MTA|Final-Recipient|Original-Recipient|Action):[^\n]*\n(?:[^\n]+\n|[ \t]*\n){0,12}?(?:Final-Recipient|Status|Diagnostic-Code):`)

// asReturned are fields that a message has and that a report has no reason to
// begin lines with.
var asReturned = map[string]bool{
	"received": true, "return-path": true, "message-id": true, "from": true, "to": true, "subject": true, "date": true,
	"mime-version": true, "content-type": true, "dkim-signature": true,
}

// headerIn finds a header in the text: a run of fields with at least three of
// those that every message has. -1 is none.
func headerIn(text string) int {
	start, seen, at := -1, 0, 0
	for at < len(text) {
		end := strings.IndexByte(text[at:], '\n')
		if end < 0 {
			end = len(text) - at
		}
		line := text[at : at+end]
		name, _, ok := cutField(line)
		switch {
		case start >= 0 && line != "" && (line[0] == ' ' || line[0] == '\t'):
		case ok:
			if start < 0 {
				start, seen = at, 0
			}
			if asReturned[strings.ToLower(name)] {
				seen++
			}
			if seen >= 3 {
				return start
			}
		default:
			start = -1
		}
		at += end + 1
	}
	return -1
}

func (m *message) original() Original {
	o := Original{
		MessageID:  messageID(m.returned.value("Message-ID")),
		ReturnPath: address(m.returned.value("Return-Path")),
		To:         address(m.returned.value("To")),

		FeedbackID:  m.returned.value("Feedback-ID"),
		CFBL:        m.returned.value("CFBL-Address"),
		Unsubscribe: m.returned.value("List-Unsubscribe"),
	}
	for _, group := range m.status {
		for _, name := range []string{"X-Postfix-Sender", "X-Actual-Sender"} {
			if o.ReturnPath == "" {
				o.ReturnPath = address(group.value(name))
			}
		}
		if o.MessageID == "" {
			o.MessageID = messageID(group.value("X-Original-Message-ID"))
		}
	}
	if o.ReturnPath == "" {
		o.ReturnPath = address(m.feedback.value("Original-Mail-From"))
	}
	if o.MessageID == "" && m.returned == nil { // of a reply, what it answers
		o.MessageID = messageID(m.head.value("In-Reply-To"))
	}
	return o
}

// sentTo lists the addresses that the mail came to: the envelope's, where the
// last mail host has noted it down, and the addresses in the header.
func (m *message) sentTo() (all []string) {
	for _, name := range []string{"Delivered-To", "X-Original-To", "Envelope-To", "X-Envelope-To", "To"} {
		for _, value := range m.head.values(name) {
			if a := address(value); a != "" && len(all) < maxRecipients {
				all = append(all, a)
			}
		}
	}
	return all
}
