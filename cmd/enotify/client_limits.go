package main

import (
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/pflag"

	"enotify/cmd/enotify/exit"
	"enotify/cmd/enotify/figures"
	"enotify/cmd/enotify/term"
	"enotify/queue"
)

// limitFlags are the flags of client set that say when a client may send, and how
// much.
type limitFlags struct {
	perDay, perMonth, maxBatches, maxBatchSize, urgent int
	over, zone, window                                 string
}

func (l *limitFlags) add(f *pflag.FlagSet) {
	f.IntVar(&l.perDay, "per-day", 0, "at most `NUMBER` messages a day; 0: no limit")
	f.IntVar(&l.perMonth, "per-month", 0, "at most `NUMBER` messages a calendar month; 0: no limit")
	f.IntVar(&l.maxBatches, "max-batches", 0, "at most `NUMBER` batches in the queue at once; 0: no limit")
	f.IntVar(&l.maxBatchSize, "max-batch-size", 0, "at most `NUMBER` recipients in one batch; 0: no limit")
	f.StringVar(&l.over, "over", "", "`wait` or refuse: what happens to a batch that is over a limit")
	f.StringVar(&l.zone, "zone", "", "time `ZONE` of its days and months, such as Europe/Berlin")
	f.StringVar(&l.window, "window", "",
		"send within these `HOURS` alone, such as 'Mon-Fri 08:00-20:00 Europe/Berlin'; none: at any hour")
	f.IntVar(&l.urgent, "urgent", 0, "`PRIORITY` from which on its batches are sent outside of the window too")
}

// change is what the flags that were given change; nil: nothing.
func (l *limitFlags) change(f *pflag.FlagSet) (*queue.LimitsChange, error) {
	var c queue.LimitsChange
	for _, n := range []struct {
		flag  string
		value *int
		to    **int
	}{
		{"per-day", &l.perDay, &c.PerDay}, {"per-month", &l.perMonth, &c.PerMonth},
		{"max-batches", &l.maxBatches, &c.MaxBatches},
		{"max-batch-size", &l.maxBatchSize, &c.MaxBatchSize}, {"urgent", &l.urgent, &c.Urgent},
	} {
		if !f.Changed(n.flag) {
			continue
		}
		if *n.value < 0 || *n.value > 1<<31-1 {
			return nil, exit.Usagef("--%s %d: want a number from 0 to 2147483647", n.flag, *n.value)
		}
		*n.to = n.value
	}
	if f.Changed("over") {
		over := queue.Over(l.over)
		if over != queue.OverWaits && over != queue.OverRefuse {
			return nil, exit.Usagef("--over %s: want wait or refuse", l.over)
		}
		c.Over = &over
	}
	if f.Changed("zone") {
		c.Zone = &l.zone
	}
	if f.Changed("window") {
		if l.window == "none" {
			l.window = ""
		}
		c.Window = &l.window
	}
	if c == (queue.LimitsChange{}) {
		return nil, nil
	}
	return &c, nil
}

// limitRows say what limits a client has, how much is left, and when that starts again.
func limitRows(p *term.Page, c queue.Client) (rows [][]string) {
	l := c.Limits
	if s := c.Sent; s != nil {
		left := func(name string, most, sent int, until time.Time) {
			if most > 0 {
				rows = append(rows, []string{"messages a " + name, fmt.Sprintf("%s, %s left until %s %s",
					figures.Count(most), figures.Count(max(0, most-sent)), until.Format("2006-01-02 15:04"), l.Zone)})
			}
		}
		today := p.Now.In(location(l.Zone))
		year, month, day := today.Date()
		left("day", l.PerDay, s.Today, time.Date(year, month, day+1, 0, 0, 0, 0, today.Location()))
		left("month", l.PerMonth, s.Month, time.Date(year, month+1, 1, 0, 0, 0, 0, today.Location()))
	}
	if l.MaxBatches > 0 {
		rows = append(rows, []string{"batches at once", figures.Count(l.MaxBatches)})
	}
	if l.MaxBatchSize > 0 {
		rows = append(rows, []string{"recipients of a batch", figures.Count(l.MaxBatchSize) +
			"; a larger one is refused"})
	}
	if l.PerDay+l.PerMonth+l.MaxBatches > 0 {
		what := "waits"
		if l.Over == queue.OverRefuse {
			what = "is refused when it is submitted"
		}
		rows = append(rows, []string{"over a limit", "a batch " + what})
	}
	if l.Window != "" {
		rows = append(rows, []string{"window", l.Window + "; from priority " + strconv.Itoa(l.Urgent) + " at any hour"})
	}
	return rows
}

func location(zone string) *time.Location {
	if l, err := time.LoadLocation(zone); err == nil {
		return l
	}
	return time.UTC // the database knows more zones than this program
}
