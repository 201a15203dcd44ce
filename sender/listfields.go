package sender

import (
	"cmp"
	"strconv"

	"enotify/queue"
	"enotify/sender/token"
)

// appendListFields adds the fields that make a message one of a list, and that
// name its recipient by a signature of ours.
func (s *Sender) appendListFields(buf []byte, m *queue.Message) []byte {
	if m.Batch.TLSReport { // to a machine
		return buf
	}
	domain, keys := m.Batch.Bounces.At(s.BounceDomain), s.signing()
	who := token.Subject{Batch: m.Batch.ID, Seq: m.Seq}
	if m.Batch.ListUnsubscribe == "" && len(keys) > 0 && (s.PublicURL != "" || domain != "") {
		buf = s.appendUnsubscribe(buf, keys, who, domain)
	}
	if len(keys) > 0 && domain != "" { // where a reader's "this is spam" is to be told (RFC 9477)
		buf = append(buf, "CFBL-Address: "...)
		buf = append(buf, keys.Address(token.Complaint, who, domain)...)
		buf = append(buf, "; report=arf\r\n"...)
	}
	return s.appendFeedbackID(buf, m.Batch)
}

// appendUnsubscribe adds the fields by which a recipient leaves the list of the
// client (RFC 2369 §3.2, RFC 8058 §3.1), where there is somebody who hears of it.
func (s *Sender) appendUnsubscribe(buf []byte, keys token.Keys, who token.Subject, domain string) []byte {
	buf = append(buf, "List-Unsubscribe: "...)
	if s.PublicURL != "" {
		buf = append(buf, '<')
		buf = append(buf, s.PublicURL...)
		buf = append(buf, "/u/"...)
		buf = append(buf, keys.Mint(token.Unsubscribe, who)...)
		buf = append(buf, '>')
		if domain != "" {
			buf = append(buf, ",\r\n "...)
		}
	}
	if domain != "" {
		buf = append(buf, "<mailto:"...)
		buf = append(buf, keys.Address(token.Unsubscribe, who, domain)...)
		buf = append(buf, "?subject=unsubscribe>"...)
	}
	buf = append(buf, "\r\n"...)
	if s.PublicURL != "" {
		buf = append(buf, "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"...)
	}
	return buf
}

// appendFeedbackID says what Gmail counts complaints by:
// campaign:client:kind:sender (Gmail's "Feedback loop" page, read 2026-11).
func (s *Sender) appendFeedbackID(buf []byte, b *queue.Batch) []byte {
	kind := ":news:"
	if b.Priority > 0 {
		kind = ":alert:"
	}
	buf = append(buf, "Feedback-ID: "...)
	buf = strconv.AppendInt(buf, b.ID, 10)
	buf = append(buf, ':')
	buf = append(buf, b.Client...)
	buf = append(buf, kind...)
	buf = append(buf, cmp.Or(s.FeedbackSender, "enotify")...)
	return append(buf, "\r\n"...)
}
