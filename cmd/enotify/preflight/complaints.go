package preflight

import (
	"context"
	"fmt"

	"enotify/cmd/enotify/figures"
	"enotify/queue"
)

// checkComplaints looks at how many readers called the client's mail spam.
func checkComplaints(_ context.Context, in *Input) []Finding {
	f := Finding{ID: "hist.complaint", Severity: Pass}
	var rates []queue.ComplaintRate
	most := 0
	for _, c := range in.Complaints {
		where := "in all"
		if c.Site != "" {
			where = "at " + c.Site
		} else {
			rates = append(rates, c.ComplaintRate)
			most = max(most, c.Accepted)
		}
		if c.Accepted > 0 || c.Complaints > 0 {
			f.Evidence = append(f.Evidence,
				fmt.Sprintf("%s, batches of the last %s: %s of %s (%s)", where, figures.Some(c.Days, "day"),
					figures.Count(c.Complaints), figures.Count(c.Accepted), figures.Percent(c.Rate())))
		}
	}
	worst := queue.WorstComplaints(rates)
	switch {
	case len(rates) == 0:
		f.Found = "Nobody complained, as far as feedback loops tell."
		return []Finding{f}
	case most < queue.ComplaintSample:
		f.Severity = Info
		f.Found = fmt.Sprintf("%s of %s accepted in 30 days: of fewer than %s messages no rate is taken.",
			figures.Some(rates[len(rates)-1].Complaints, "complaint"),
			figures.Some(most, "message"), figures.Count(queue.ComplaintSample))
		return []Finding{f}
	}
	f.Found = fmt.Sprintf("%s of %s messages of the last %s were called spam.", figures.Percent(worst.Rate()),
		figures.Count(worst.Accepted), figures.Some(worst.Days, "day"))
	switch worst.Level() {
	case queue.ComplaintsBlock:
		f.Severity = Block
		f.Advice = "Send only to readers who asked for the mail, until the rate is under 0.1 %: receivers turn the sender's other mail away as well. enotify raises an alert and goes on sending; it is for you to stop the batch."
	case queue.ComplaintsWarn:
		f.Severity = Warn
		f.Advice = "Let readers leave with one click, and take those off the list who have not opened or asked for years. At 0.3 % receivers turn the mail away."
	}
	return []Finding{f}
}
