package report

import "strings"

// microsoftsRecipient is the field that Microsoft's Junk Mail Reporting Program
// puts into the message that it returns.
const microsoftsRecipient = "X-HmXmrOriginalRecipient"

// complaint reads a feedback report (RFC 5965). Some types speak of other
// things than a reader's wish: authentication (RFC 6591), or mail that was
// wrongly taken for spam.
func (m *message) complaint() (Kind, []Recipient) {
	switch strings.ToLower(firstWord(m.feedback.value("Feedback-Type"))) {
	case "not-spam", "auth-failure", "dmarc", "virus":
		return Other, nil
	}
	var recipients []Recipient
	for _, name := range []string{"Original-Rcpt-To", "Removal-Recipient", "X-Original-Rcpt-To"} {
		for _, value := range m.feedback.values(name) {
			if a := address(value); a != "" && len(recipients) < maxRecipients {
				recipients = append(recipients, Recipient{Address: a})
			}
		}
		if recipients != nil {
			return Complaint, recipients
		}
	}
	if a := address(m.returned.value(microsoftsRecipient)); a != "" {
		return Complaint, []Recipient{{Address: a}}
	}
	if to := m.original().To; to != "" {
		recipients = []Recipient{{Address: to}}
	}
	return Complaint, recipients
}
