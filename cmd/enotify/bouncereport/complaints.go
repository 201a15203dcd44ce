package bouncereport

import (
	"cmp"
	"fmt"
	"strings"

	"enotify/cmd/enotify/figures"
	"enotify/cmd/enotify/term"
	"enotify/queue"
	"enotify/queue/insight"
)

// A Complaint is a rate of complaints against accepted mail.
type Complaint struct {
	Client     string  `json:"client"`
	Site       string  `json:"site"` // "" is all
	Days       int     `json:"days"` // in which the batches began; 0 is the whole batch
	Accepted   int     `json:"accepted"`
	Complaints int     `json:"complaints"`
	Percent    float64 `json:"percent"`
	Level      string  `json:"level"` // warn from 0.1 %, block from 0.3 %; "" under that, or of too few messages
}

// Complained adds rates of complaints; those without any are left out.
func (r *Report) Complained(rates []insight.Complained) {
	for _, c := range rates {
		if c.Complaints > 0 {
			r.Complaints = append(r.Complaints,
				Complaint{c.Client, c.Site, c.Days, c.Accepted, c.Complaints, 100 * c.Rate(), levels[c.Level()]})
		}
	}
}

var levels = map[queue.ComplaintLevel]string{queue.ComplaintsWarn: "warn", queue.ComplaintsBlock: "block"}

// Where names the provider and client of a rate, and its period.
func (c Complaint) Where() string {
	where := cmp.Or(c.Site, "all sites")
	if c.Days == 0 {
		return where + ", the batch"
	}
	return fmt.Sprintf("%s, %s", where, figures.Some(c.Days, "day"))
}

// Share is the rate in words.
func (c Complaint) Share() string {
	return strings.TrimSpace(figures.Percent(c.Percent/100) + " " +
		map[string]string{"warn": "(over 0.1 %)", "block": "(over 0.3 %)"}[c.Level])
}

func (r *Report) layComplaints(p *term.Page) {
	if len(r.Complaints) == 0 {
		return
	}
	p.Heading("Called spam by readers")
	p.Say("%s", complaintAdvice)
	var rows [][]string
	for _, c := range r.Complaints {
		rows = append(rows, []string{c.Client, c.Where(), figures.Count(c.Accepted), figures.Count(c.Complaints),
			c.Share()})
	}
	p.Table([]string{"CLIENT", "BATCHES OF THE LAST", "ACCEPTED", "COMPLAINTS", "RATE"}, rows...)
}

const complaintAdvice = "Suppressed for the client already. Receivers want less than 0.1 %, and turn mail away from 0.3 % on: send only to readers who asked for it."
