package preflight

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"strings"

	"golang.org/x/net/html"

	"enotify/cmd/enotify/figures"
)

// A parsed message is one of ours, read as a receiver reads it.
type parsed struct {
	header     mail.Header
	text, html string // decoded
	hasText    bool
	hasHTML    bool
}

func readMessage(message []byte) (parsed, error) {
	m, err := mail.ReadMessage(bytes.NewReader(message))
	if err != nil {
		return parsed{}, err
	}
	p := parsed{header: m.Header}
	return p, p.read(m.Header.Get("Content-Type"), m.Header.Get("Content-Transfer-Encoding"),
		m.Header.Get("Content-Disposition"), m.Body)
}

// read takes a part and those within it (RFC 2045, RFC 2046).
func (p *parsed) read(contentType, encoding, disposition string, body io.Reader) error {
	kind, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		return fmt.Errorf("content type %q: %w", contentType, err)
	}
	if strings.HasPrefix(kind, "multipart/") {
		parts := multipart.NewReader(body, params["boundary"])
		for {
			part, err := parts.NextRawPart()
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return err
			}
			h := part.Header
			if err := p.read(h.Get("Content-Type"), h.Get("Content-Transfer-Encoding"), h.Get("Content-Disposition"),
				part); err != nil {
				return err
			}
		}
	}
	if strings.HasPrefix(disposition, "attachment") || kind != "text/plain" && kind != "text/html" {
		return nil
	}
	switch strings.ToLower(encoding) {
	case "quoted-printable":
		body = quotedprintable.NewReader(body)
	case "base64":
		body = base64.NewDecoder(base64.StdEncoding, body)
	}
	content, err := io.ReadAll(body)
	if kind == "text/html" {
		p.html, p.hasHTML = p.html+string(content), true
	} else {
		p.text, p.hasText = p.text+string(content), true
	}
	return err
}

// braces reports whether something is left of a merge field.
func (p *parsed) braces() bool {
	subject, err := new(mime.WordDecoder).DecodeHeader(p.header.Get("Subject"))
	if err != nil {
		subject = p.header.Get("Subject")
	}
	for _, text := range []string{subject, p.text, p.html, p.header.Get("List-Unsubscribe")} {
		if strings.Contains(text, "{{") || strings.Contains(text, "}}") {
			return true
		}
	}
	return false
}

const (
	maxLine     = 998       // octets without CRLF, RFC 5322 §2.1.1
	clipAt      = 102 << 10 // octets of HTML that Gmail shows (support.google.com: "message clipped")
	largeAt     = 10 << 20  // octets of a message: the least limit among big receivers, with room for encoding
	refusedWhat = "No message can be rendered; see hdr.merge."
)

// unrendered is the finding of a row that needs a message when there is none.
func unrendered(ids ...string) []Finding {
	var fs []Finding
	for _, id := range ids {
		fs = append(fs, Finding{ID: id, Severity: NotChecked, Found: refusedWhat})
	}
	return fs
}

// wellFormed looks at the octets that would be sent.
func wellFormed(message []byte) Finding {
	f := Finding{ID: "hdr.5322", Severity: Pass,
		Found: "One From, Date, Message-ID and Subject; every line ends in CRLF and has at most 998 octets."}
	var wrong []string
	for i, line := range bytes.Split(bytes.TrimSuffix(message, []byte("\r\n")), []byte("\r\n")) {
		switch {
		case bytes.ContainsAny(line, "\r\n"):
			wrong = append(wrong, fmt.Sprintf("line %d ends in a bare CR or LF", i+1))
		case len(line) > maxLine:
			wrong = append(wrong, fmt.Sprintf("line %d has %d octets", i+1, len(line)))
		}
	}
	m, err := mail.ReadMessage(bytes.NewReader(message))
	if err != nil {
		wrong = append(wrong, err.Error())
	} else {
		for _, name := range []string{"From", "Date", "Message-Id", "Subject"} {
			if n := len(m.Header[name]); n != 1 {
				wrong = append(wrong, fmt.Sprintf("%s is there %d times", name, n))
			}
		}
		if _, err := m.Header.AddressList("From"); err != nil {
			wrong = append(wrong, "From: "+err.Error())
		}
		if _, err := m.Header.Date(); err != nil {
			wrong = append(wrong, "Date: "+err.Error())
		}
	}
	if len(wrong) > 0 {
		f.Severity, f.Found, f.Evidence = Block, "Receivers refuse a message that is not as RFC 5322 has it.",
			wrong[:min(len(wrong), 10)]
	}
	return f
}

// sizes looks at how much would be sent.
func sizes(p parsed, largest int) Finding {
	f := Finding{ID: "body.size", Severity: Pass, Found: octets(largest) + " at most."}
	switch {
	case largest > largeAt:
		f.Severity = Block
		f.Found = fmt.Sprintf("The message has %s; many receivers take no more than %s.", octets(largest),
			octets(largeAt))
		f.Advice = "Put large files on a web site, and link to them."
	case len(p.html) > clipAt:
		f.Severity = Warn
		f.Found = fmt.Sprintf("The HTML has %s; Gmail shows the first %s and cuts off the rest, the link to unsubscribe with it.", octets(len(p.html)), octets(clipAt))
		f.Advice = "Leave out styles and hidden parts that editors add, or link to the rest."
	}
	return f
}

func octets(n int) string {
	if n < 1<<20 {
		return fmt.Sprintf("%d KB", (n+1023)>>10)
	}
	return fmt.Sprintf("%.1f MB", float64(n)/(1<<20))
}

// content looks at the text beside the HTML, at links and pictures.
func content(p parsed) Finding {
	f := Finding{ID: "body.text", Severity: Pass,
		Found: "There is plain text, and nothing in the HTML that filters dislike."}
	if !p.hasHTML {
		f.Found = "Plain text alone."
	}
	if p.hasHTML && strings.TrimSpace(p.text) == "" {
		f.Evidence = append(f.Evidence, "there is no plain text beside the HTML, as filters and screen readers want")
	}
	plain, mute := 0, 0
	z := html.NewTokenizer(strings.NewReader(p.html))
	for z.Next() != html.ErrorToken {
		t := z.Token()
		attr := map[string]string{}
		for _, a := range t.Attr {
			attr[strings.ToLower(a.Key)] = a.Val
		}
		_, alt := attr["alt"]
		switch {
		case t.Data == "a" && strings.HasPrefix(strings.ToLower(attr["href"]), "http:"):
			plain++
		case t.Data == "img" && !alt:
			mute++
		case t.Type == html.StartTagToken && strings.Contains(" script form iframe object embed ", " "+t.Data+" "):
			f.Evidence = append(f.Evidence, "there is a <"+t.Data+
				">, which mail programs remove and filters take for an attack")
		}
	}
	if plain > 0 {
		f.Evidence = append(f.Evidence, figures.Some(plain, "link")+" without TLS (http:)")
	}
	if mute > 0 {
		f.Evidence = append(f.Evidence, figures.Some(mute, "picture")+" without alt text")
	}
	if len(f.Evidence) > 0 {
		f.Severity, f.Found = Warn, "Filters and readers will like the message less than they could."
	}
	return f
}

// offers looks for the fields of one-click unsubscribing (RFC 8058 §3.1).
func offers(p parsed, bulky bool) Finding {
	f := Finding{ID: "unsub.header", Severity: Pass}
	uris, post := p.header.Get("List-Unsubscribe"), p.header.Get("List-Unsubscribe-Post")
	if uris != "" {
		f.Evidence = append(f.Evidence, "List-Unsubscribe: "+uris)
	}
	if post != "" {
		f.Evidence = append(f.Evidence, "List-Unsubscribe-Post: "+post)
	}
	if strings.Contains(strings.ToLower(uris), "<https:") &&
		strings.EqualFold(strings.TrimSpace(post), "List-Unsubscribe=One-Click") {
		f.Found = "The header has what mail programs need for their button to unsubscribe."
		return f
	}
	f.Severity = Warn
	if bulky {
		f.Severity = Block
	}
	f.Found = fmt.Sprintf("Gmail and Yahoo want one-click unsubscribing from senders of over %s messages a day.",
		figures.Count(bulk))
	if uris != "" {
		f.Found += " The header has no https: address for it."
	}
	f.Advice = "Give the batch an https: address that unsubscribes on POST: --list-unsubscribe, or list_unsubscribe in create_batch()."
	return f
}

func lastAt(address string) int { return strings.LastIndexByte(address, '@') }
