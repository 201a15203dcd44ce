package preflight

import (
	"context"
	"fmt"

	"enotify/cmd/enotify/figures"
)

// fewMessages are too few for any receiver to mind, however new the sender is.
const fewMessages = 1000

// checkHistory compares the batch with what the client sent before.
func checkHistory(_ context.Context, in *Input) []Finding {
	return []Finding{bounces(in.Bounces), warmup(in)}
}

func bounces(batches []BatchBounces) Finding {
	f := Finding{ID: "hist.bounce", Severity: Pass}
	sent, bounced := 0, 0
	for _, b := range batches {
		sent, bounced = sent+b.Sent, bounced+b.Bounced
		f.Evidence = append(f.Evidence, fmt.Sprintf("batch %d, %s: %s of %s (%s)", b.Batch, b.At.Format("2 Jan 2006"),
			figures.Count(b.Bounced), figures.Count(b.Sent), figures.Percent(b.Rate())))
	}
	if sent == 0 {
		return Finding{ID: f.ID, Severity: Info, Found: "The client has sent nothing yet."}
	}
	rate := float64(bounced) / float64(sent)
	f.Found = fmt.Sprintf("%s of the last %s messages bounced.", figures.Percent(rate), figures.Count(sent))
	switch {
	case sent < MinSample && rate > BounceWarn:
		f.Severity = Info
		f.Found += fmt.Sprintf(" That says little: a share is judged from %s messages on.", figures.Count(MinSample))
	case rate > BounceBlock:
		f.Severity = Block
		f.Advice = "Clean the list first: everybody who did not ask for the mail, or has not been written to for a year. What bounced is suppressed already."
	case rate > BounceWarn:
		f.Severity = Warn
		f.Advice = "Look at where the addresses come from; a sign-up form without confirmation is a common cause."
	}
	return f
}

func warmup(in *Input) Finding {
	f := Finding{ID: "warmup", Severity: Pass}
	n, most := in.sendable(), in.LargestDay
	switch {
	case n <= fewMessages:
		f.Found = fmt.Sprintf("%s: no receiver minds.", figures.Some(n, "message"))
	case most == 0:
		f.Severity = Warn
		f.Found = fmt.Sprintf("%s, and the client sent none in the last 30 days.", figures.Some(n, "message"))
	case n > 2*most:
		f.Severity = Warn
		f.Found = fmt.Sprintf("%s; the most of a day in the last 30 was %s.", figures.Some(n, "message"),
			figures.Count(most))
	default:
		f.Found = fmt.Sprintf("%s; on the largest day of the last 30 it was %s.", figures.Some(n, "message"),
			figures.Count(most))
	}
	until, said := warming(in.foretold())
	f.Evidence = said
	if until > 0 {
		f.Severity = Warn
		f.Found += " Addresses of ours are warming up, and let the last of them leave in " + figures.Estimate(until) +
			"."
		f.Advice = "Let the batch take so long, or let what is above the limits leave from warm addresses: enotify egress warm ADDRESS --overflow pool, with its --plan or --days."
		return f
	}
	if f.Severity == Warn {
		f.Advice = "Receivers slow down a sender that suddenly sends much more. Split the batch over several days, each about twice the last, or expect deferrals."
	}
	return f
}

// From these shares of bounces on receivers slow a sender down, or turn it
// away: Google and Yahoo want complaints and bounces low without a figure;
// those of Amazon SES (5 % review, 10 % pause) and Mailchimp are the ones that
// are published.
const (
	BounceWarn  = 0.02
	BounceBlock = 0.05
)

// MinSample is how many messages, or recipients, it takes to judge by a share of
// them: where 2 % bounce in truth, 200 messages show over 5 % about once in 400 times.
const MinSample = 200
