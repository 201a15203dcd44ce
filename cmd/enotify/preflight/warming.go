package preflight

import (
	"fmt"
	"time"

	"enotify/cmd/enotify/figures"
	"enotify/cmd/enotify/forecast"
)

// warming is when the limits of addresses that are warming up let the last message of
// the batch leave, and what to say of each; zero when they hold nothing up.
func warming(c forecast.Forecast) (until time.Duration, said []string) {
	for _, w := range c.Warming {
		to := ""
		if w.Site != "*" {
			to = " to " + w.Site
		}
		text := fmt.Sprintf("%s is warming up%s, day %d of %d: %s more today, for about %s of this batch", w.Address, to,
			w.Step+1, w.Steps, figures.Some(w.Left, "message"), figures.Count(w.N))
		switch {
		case w.Nights > 0:
			until = max(until, w.End)
			text += fmt.Sprintf("; the others wait for the next %s", figures.Some(w.Nights, "day"))
		case w.N > w.Left && w.Spills:
			text += "; the others leave from warm addresses of the pool"
		}
		said = append(said, text)
	}
	return until, said
}
