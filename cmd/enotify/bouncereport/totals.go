package bouncereport

import (
	"fmt"
	"strings"

	"enotify/cmd/enotify/figures"
	"enotify/queue"
)

// Totals are the counts of a batch, as enotify batch show has them.
type Totals struct {
	Total     int           `json:"total"`
	Delivered int           `json:"delivered"`
	Counts    []queue.Count `json:"-"`
}

// A Rest is a reason why recipients without a reply have no message.
type Rest struct {
	State      string `json:"state"`
	Title      string `json:"title"`
	Advice     string `json:"advice"`
	Recipients int    `json:"recipients"`
}

// Count adds the recipients of the batch about whom nobody replied, so that all
// reasons add up to its total less those delivered. Call it once, after the last
// Add.
func (r *Report) Count(s queue.Status) {
	r.Totals = &Totals{Total: s.Total, Delivered: s.Delivered, Counts: s.Counts()}
	left := s.Total - s.Delivered - r.Recipients
	add := func(n int, state, title, advice string) {
		if n = min(n, left); n > 0 { // a reply may have come between the two questions
			r.Rest = append(r.Rest, Rest{state, title, advice, n})
			r.Recipients += n
			left -= n
		}
	}
	add(s.Suppressed, string(queue.Suppressed), "Suppressed: never sent to",
		"They are on the list of suppressed addresses: enotify suppression list.")
	add(s.Invalid, string(queue.Invalid), "No mail address", "Nothing was sent to them. Correct the client's list.")
	add(s.Cancelled, string(queue.Cancelled), "Cancelled with the batch", "Nothing was sent to them.")
	add(s.Unknown, string(queue.Unknown), "In doubt: perhaps delivered",
		fmt.Sprintf("They are not sent to again; enotify batch show %d says why.", s.ID))
	if s.PrunedAt != nil {
		add(left, "pruned", "The replies were pruned with the batch", "Only the counts are left.")
		return
	}
	add(s.Pending+s.Sending, string(queue.Pending), "Not tried yet, or being tried now", "Nothing to do.")
	add(left, "no_reply", "No receiver replied", "The batch expired before they were tried, or the next try is due.")
}

// line lists the states of a batch with recipients in them.
func (t *Totals) line() string {
	var counts []string
	for _, c := range t.Counts {
		if c.N > 0 {
			counts = append(counts, fmt.Sprintf("%s %s", figures.Count(c.N), c.State))
		}
	}
	return fmt.Sprintf("Total: %s (%s)", figures.Count(t.Total), strings.Join(counts, ", "))
}
