package compose

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"mime"
	"path"
	"strings"
	"unicode/utf8"

	"enotify/queue"
)

// A slot is a piece of the body of a message: the same for all, or a text that
// is encoded for each.
type slot struct {
	fixed segment
	text  *body
	head  bool // of a text: with the fields that describe it
}

// A segment is octets of a message as they stand in it, and as they go over the
// wire, with dots at the start of lines doubled (RFC 5321 §4.5.2). Both are one
// slice where there are none.
type segment struct{ plain, wire []byte }

func same(b []byte) segment { return segment{b, b} }

// stuffed is a segment of text that begins at the start of a line.
func stuffed(b []byte) segment {
	if !bytes.Contains(b, []byte("\n.")) && !bytes.HasPrefix(b, []byte(".")) {
		return same(b)
	}
	wire := bytes.ReplaceAll(b, []byte("\n."), []byte("\n.."))
	if wire[0] == '.' {
		wire = append([]byte("."), wire...)
	}
	return segment{b, wire}
}

// An entity is a part of a MIME message (RFC 2045 §2.4).
type entity struct {
	text     *body    // a text, whose encoding may differ from recipient to recipient
	head     []byte   // else: its fields
	content  segment  // of an entity without parts
	parts    []entity // of a multipart
	subtype  string   // of a multipart
	eightBit bool     // it holds octets above 127 as they are
}

// multipart joins parts. It is the part itself where there is one alone.
func multipart(subtype string, parts ...entity) entity {
	if len(parts) == 1 {
		return parts[0]
	}
	e := entity{subtype: subtype, parts: parts}
	for _, p := range parts {
		e.eightBit = e.eightBit || p.eightBit
	}
	return e
}

// flatten returns the fields of e, and the slots of its content. Of a text
// alone, the fields are nil, since they depend on the recipient. Boundaries are
// made of tag and a number: a message is the same on every try.
func (e entity) flatten(tag string, n *int) (head []byte, slots []slot) {
	switch {
	case e.text != nil:
		return nil, []slot{{text: e.text}}
	case e.parts == nil:
		return e.head, []slot{{fixed: e.content}}
	}
	*n++
	boundary := fmt.Sprintf("%s%s.%d", boundaryStart, tag, *n)
	head = append(head, "Content-Type: multipart/"+e.subtype+";\r\n boundary=\""+boundary+"\""...)
	if e.subtype == "related" { // RFC 2387 §3.1
		head = append(head, ";\r\n type=\"text/html\""...)
	}
	if e.subtype == "report" { // RFC 6522 §3
		head = append(head, ";\r\n report-type=tlsrpt"...)
	}
	head = append(head, crlf...)
	if e.eightBit {
		head = append(head, "Content-Transfer-Encoding: 8bit\r\n"...)
	}
	before := []byte("--" + boundary + "\r\n")
	for _, p := range e.parts {
		inner, content := p.flatten(tag, n)
		if p.text != nil {
			slots = append(slots, slot{fixed: same(before)}, slot{text: p.text, head: true})
		} else {
			slots = append(slots, slot{fixed: same(append(append(before, inner...), crlf...))})
			slots = append(slots, content...)
		}
		before = []byte("\r\n--" + boundary + "\r\n")
	}
	return head, append(slots, slot{fixed: same([]byte("\r\n--" + boundary + "--\r\n"))})
}

// newEntity builds the message of a batch: text, HTML, or both as alternatives
// (RFC 2046 §5.1.4), an invitation as the last of them, with the HTML the
// pictures that it shows (RFC 2387), and around it the files (§5.1.3).
func newEntity(b *queue.Batch, text, html *body) (entity, error) {
	var pictures, files, invitations []entity
	for i := range b.Attachments {
		a := &b.Attachments[i]
		e, where, err := newAttachment(a, b.HTML)
		if err != nil {
			return entity{}, err
		}
		switch where {
		case withHTML:
			pictures = append(pictures, e)
		case asAlternative:
			invitations = append(invitations, e)
		default:
			files = append(files, e)
		}
	}
	var alternatives []entity
	if text != nil {
		alternatives = append(alternatives, entity{text: text})
	}
	if html != nil {
		alternatives = append(alternatives, multipart("related", append([]entity{{text: html}}, pictures...)...))
	} else {
		files = append(pictures, files...)
	}
	alternatives = append(alternatives, invitations...)
	around := "mixed"
	if b.TLSReport { // RFC 8460 §5.3
		around = "report"
	}
	return multipart(around, append([]entity{multipart("alternative", alternatives...)}, files...)...), nil
}

// place is where an attachment goes.
type place int

const (
	asFile        place = iota
	withHTML            // a picture that the HTML shows by cid:
	asAlternative       // an invitation, which calendars look for among the alternatives
)

// newAttachment encodes a file: a mail as it is (RFC 2046 §5.2.1 forbids to
// encode it), others in base64.
func newAttachment(a *queue.Attachment, html string) (e entity, where place, err error) {
	if err := checkFilename(a.Filename); err != nil {
		return e, 0, err
	}
	kind := a.ContentType
	if kind == "" {
		kind = typeByName(a.Filename)
	}
	mediaType, params, err := mime.ParseMediaType(kind)
	if err != nil || strings.ContainsAny(kind, "\r\n") {
		return e, 0, fmt.Errorf("attachment %q: %q is no media type", a.Filename, kind)
	}
	if strings.HasPrefix(mediaType, "multipart/") {
		return e, 0, fmt.Errorf("attachment %q: %q is no type of a file", a.Filename, kind)
	}
	cid := a.ContentID
	if strings.ContainsFunc(cid, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`<>"\`, r) }) ||
		len(cid) > maxFilename {
		return e, 0, fmt.Errorf("attachment %q: %q is no content id: letters, digits and signs without spaces",
			a.Filename, cid)
	}
	if cid == "" && strings.HasPrefix(mediaType, "image/") && showsFile(html, a.Filename) {
		cid = a.Filename
	}
	if cid != "" {
		where = withHTML
	}
	method := strings.ToUpper(params["method"])
	if mediaType == "text/calendar" {
		if method == "" {
			method = calendarMethod(a.Content)
		}
		if method != "" {
			params["method"] = method
		}
		if cid == "" && method != "" && method != "PUBLISH" {
			where = asAlternative
		}
	}
	if strings.HasPrefix(mediaType, "text/") && params["charset"] == "" && utf8.Valid(a.Content) {
		params["charset"] = "UTF-8"
	}
	if mediaType == "message/rfc822" {
		if mail, eightBit, ok := asMail(a.Content); ok {
			e.content, e.eightBit = stuffed(mail), eightBit
		} else { // which the type does not allow to be encoded
			mediaType, params = "application/octet-stream", map[string]string{}
		}
	}
	if where == asAlternative {
		params["name"] = a.Filename
	}
	e.head = append(e.head, "Content-Type: "+mediaType...)
	for _, name := range []string{"charset", "method", "name"} { // the others in no order, after them
		if v, ok := params[name]; ok {
			e.head = appendParameter(e.head, name, v)
			delete(params, name)
		}
	}
	for _, name := range sortedKeys(params) {
		e.head = appendParameter(e.head, name, params[name])
	}
	e.head = append(e.head, crlf...)
	if cid != "" {
		e.head = append(e.head, "Content-ID: <"+cid+">\r\n"...)
	}
	if where != asAlternative {
		disposition := "attachment"
		if where == withHTML {
			disposition = "inline"
		}
		e.head = append(e.head, "Content-Disposition: "+disposition...)
		e.head = append(appendParameter(e.head, "filename", a.Filename), crlf...)
	}
	if e.content.plain != nil {
		if e.eightBit {
			e.head = append(e.head, "Content-Transfer-Encoding: 8bit\r\n"...)
		}
		return e, where, nil
	}
	e.head = append(e.head, "Content-Transfer-Encoding: base64\r\n"...)
	e.content = same(base64Lines(a.Content))
	return e, where, nil
}

// base64Lines encodes content in lines of 76 octets (RFC 2045 §6.8), without
// CRLF at its end.
func base64Lines(content []byte) []byte {
	const perLine = 57
	lines := (len(content) + perLine - 1) / perLine
	b := make([]byte, 0, base64.StdEncoding.EncodedLen(len(content))+2*lines)
	for len(content) > perLine {
		b = base64.StdEncoding.AppendEncode(b, content[:perLine])
		b = append(b, '\r', '\n')
		content = content[perLine:]
	}
	return base64.StdEncoding.AppendEncode(b, content)
}

// asMail is an attached mail with CRLF at the ends of its lines, if it can go
// without being encoded: no line is too long and there is no NUL.
func asMail(content []byte) (mail []byte, eightBit, ok bool) {
	if len(content) == 0 || bytes.IndexByte(content, 0) >= 0 {
		return nil, false, false
	}
	mail = appendCRLF(make([]byte, 0, len(content)+len(content)/32), appendNewlines(nil, content))
	for line := range bytes.SplitSeq(mail, crlf) {
		if len(line) > maxLine {
			return nil, false, false
		}
		for _, c := range line {
			eightBit = eightBit || c >= utf8.RuneSelf
		}
	}
	return mail, eightBit, true
}

// showsFile reports whether HTML shows a picture by the name of its file.
func showsFile(html, filename string) bool {
	if strings.ContainsAny(filename, " <>@") {
		return false
	}
	for rest := html; ; {
		i := strings.Index(rest, "cid:"+filename)
		if i < 0 {
			return false
		}
		rest = rest[i+len("cid:")+len(filename):]
		if rest == "" || strings.IndexByte("\"' )>", rest[0]) >= 0 {
			return true
		}
	}
}

// calendarMethod finds what an invitation asks for (RFC 5546 §1.4), which its
// type must name too (RFC 6047 §2.4).
func calendarMethod(content []byte) string {
	for line := range bytes.Lines(content[:min(len(content), 4096)]) {
		name, value, ok := strings.Cut(strings.TrimSpace(string(line)), ":")
		if ok && strings.EqualFold(name, "METHOD") && isToken(value) {
			return strings.ToUpper(value)
		}
		if strings.EqualFold(strings.TrimSpace(string(line)), "BEGIN:VEVENT") {
			break
		}
	}
	return ""
}

// types of files that a batch is likely to carry; the system's tables differ
// from node to node.
var types = map[string]string{
	".csv": "text/csv", ".doc": "application/msword",
	".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
	".eml":  "message/rfc822", ".gif": "image/gif", ".html": "text/html", ".htm": "text/html", ".ics": "text/calendar",
	".jpeg": "image/jpeg", ".jpg": "image/jpeg", ".json": "application/json", ".mp3": "audio/mpeg", ".mp4": "video/mp4",
	".odp": "application/vnd.oasis.opendocument.presentation", ".ods": "application/vnd.oasis.opendocument.spreadsheet",
	".odt": "application/vnd.oasis.opendocument.text", ".pdf": "application/pdf", ".png": "image/png",
	".ppt":  "application/vnd.ms-powerpoint",
	".pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
	".svg":  "image/svg+xml", ".txt": "text/plain", ".vcf": "text/vcard", ".webp": "image/webp",
	".xls":  "application/vnd.ms-excel",
	".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", ".xml": "application/xml",
	".zip": "application/zip",
}

func typeByName(filename string) string {
	if t, ok := types[strings.ToLower(path.Ext(filename))]; ok {
		return t
	}
	return "application/octet-stream"
}
