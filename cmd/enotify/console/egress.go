package console

import (
	"context"
	"fmt"
	"html/template"
	"math"

	"enotify/cmd/enotify/addresses"
	"enotify/cmd/enotify/figures"
	"enotify/queue"
)

// An addressCard is an egress address with its plans of warm-up.
type addressCard struct {
	queue.EgressAddress
	Tone, InShort string
	Plans         []plan
}

// A plan is a drawing of a warm-up, with a bar for each day.
type plan struct {
	addresses.Drawing
	Bars []planBar
}

// A planBar is a day of a plan; its widths are shares of the largest day, in percent.
type planBar struct {
	addresses.PlanDay
	SentWidth, AllowedWidth float64
}

// addresses shows where mail leaves from, and each plan of warm-up against what was sent.
func (c *console) addresses(ctx context.Context) (template.HTML, error) {
	all, err := c.db.Egresses(ctx)
	if err != nil {
		return "", err
	}
	v := struct {
		Tone, Say string
		Cards     []addressCard
	}{Tone: "pass"}
	able := 0
	for _, e := range all {
		card := addressCard{EgressAddress: e, Tone: "pass", InShort: addresses.InShort(e)}
		if !e.Active() {
			card.Tone = "warn"
		} else {
			able++
		}
		for _, w := range e.Warmups {
			p := plan{Drawing: addresses.Draw(w)}
			share := func(n int) float64 { return math.Round(1000*float64(n)/float64(p.Most)) / 10 }
			for _, day := range p.Days {
				p.Bars = append(p.Bars, planBar{day, share(day.Sent), share(max(day.Allowed, day.Sent))})
			}
			card.Plans = append(card.Plans, p)
		}
		v.Cards = append(v.Cards, card)
	}
	switch {
	case len(all) == 0:
		v.Tone, v.Say = "info", "No address is registered, and no node announces one."
	case able < len(all):
		v.Tone = "warn"
		fallthrough
	default:
		v.Say = fmt.Sprintf("Mail can leave from %s of %s now.", figures.Count(able), figures.Some(len(all), "address"))
	}
	return fill("addresses", v)
}
