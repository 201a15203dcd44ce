package sender

import (
	"enotify/queue"
	"enotify/sender/token"
)

// appendUnsubscribe adds the fields by which a recipient leaves the list of
// the client (RFC 2369 §3.2, RFC 8058 §3.1), unless the batch has its own, or
// there is nobody who would hear of it.
func (s *Sender) appendUnsubscribe(buf []byte, m queue.Message) []byte {
	domain, keys := m.Batch.Bounces.At(s.BounceDomain), s.signing()
	if m.Batch.ListUnsubscribe != "" || len(keys) == 0 || s.PublicURL == "" && domain == "" {
		return buf
	}
	who := token.Subject{Batch: m.Batch.ID, Seq: m.Seq}
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
