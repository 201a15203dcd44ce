package returns

import (
	"strings"

	"enotify/queue"
	"enotify/sender/bounce"
	"enotify/sender/bounce/report"
	"enotify/sender/token"
)

// saidOf is what a mail says of a recipient, whom it may call by another
// address when mail is forwarded. That one being gone ends the delivery, but
// does not suppress the recipient's own address.
func saidOf(about token.Subject, address string, said report.Report, raw []byte) queue.Report {
	r := queue.Report{Batch: about.Batch, Seq: about.Seq, Kind: queue.ReportKind(said.Kind), ID: said.MessageID,
		Raw: raw[:min(len(raw), report.MaxBytes)]}
	if who := recipientOf(said, address); who != nil {
		verdict := who.Verdict
		if verdict.Class != "" && who.Address != "" && !isNamed(who, address) {
			verdict = verdict.Elsewhere()
		}
		r.Class, r.Treatment, r.Reply, r.Host = verdict.Class, verdict.Exception(), who.Reply, who.Reported
		switch { // others of the report may have failed
		case said.Kind == report.Bounce && who.Action == "delayed":
			r.Kind = queue.ReportDelay
		case said.Kind == report.Bounce && who.Action == "expired":
			r.Kind = queue.ReportExpired
		case said.Kind == report.Bounce && who.Action != "failed":
			r.Kind = queue.ReportOther
		}
	}
	if r.Class == "" && (r.Kind == queue.ReportBounce || r.Kind == queue.ReportExpired) {
		r.Class = queue.Other
	}
	return r
}

// isNamed reports whether a report names an address as belonging to who.
func isNamed(who *report.Recipient, address string) bool {
	return bounce.SameMailbox(who.Address, address) || strings.EqualFold(who.Was, address)
}

// recipientOf is the one of a report's recipients that has an address, or else
// the first that failed, or else the first.
func recipientOf(said report.Report, address string) (found *report.Recipient) {
	for i := range said.Recipients {
		who := &said.Recipients[i]
		switch {
		case address != "" && isNamed(who, address):
			return who
		case found == nil, who.Action == "failed" && found.Action != "failed":
			found = who
		}
	}
	return found
}
