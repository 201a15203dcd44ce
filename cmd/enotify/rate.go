package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"golang.org/x/time/rate"

	"enotify/cmd/enotify/figures"
	"enotify/queue"
)

// unlimited is how operators write that there is no limit.
const unlimited = "unlimited"

// A rateUnit is a time that a rate is given for.
type rateUnit struct {
	name    string
	aliases string // between spaces
	per     time.Duration
}

// rateUnits are those there are, the shortest first.
var rateUnits = []rateUnit{
	{"s", " s sec second ", time.Second},
	{"min", " m min minute ", time.Minute},
	{"h", " h hour ", time.Hour},
	{"day", " d day ", 24 * time.Hour},
}

// parseRate reads a rate as operators write it: 10/s, 300/min, 5000/h,
// 100000/day or unlimited.
func parseRate(text string) (queue.Rate, error) {
	if text == unlimited {
		return queue.Rate{Messages: 0, Per: time.Second}, nil
	}
	number, unit, _ := strings.Cut(text, "/")
	n, err := strconv.ParseInt(strings.TrimSpace(number), 10, 32)
	for _, u := range rateUnits {
		if err == nil && n > 0 && strings.Contains(u.aliases, " "+strings.TrimSpace(unit)+" ") {
			return queue.Rate{Messages: int(n), Per: u.per}, nil
		}
	}
	return queue.Rate{}, fmt.Errorf("%q is no rate: it is written as 10/s, 300/min, 5000/h, 100000/day or %s", text, unlimited)
}

// formatRate is the reverse of parseRate, for people.
func formatRate(r queue.Rate) string {
	if r.Messages == 0 {
		return unlimited
	}
	for _, u := range rateUnits {
		if r.Per == u.per {
			return figures.Count(r.Messages) + "/" + u.name
		}
	}
	return figures.Count(r.Messages) + "/" + r.Per.String()
}

// formatLimit writes a limit in the shortest unit in which it is a whole number.
func formatLimit(l rate.Limit) string {
	if l == rate.Inf {
		return unlimited
	}
	for _, u := range rateUnits {
		n := float64(l) * u.per.Seconds()
		if whole := math.Round(n); whole >= 1 && math.Abs(n-whole) < 1e-6*whole {
			return figures.Count(int(whole)) + "/" + u.name
		}
	}
	return fmt.Sprintf("%.3g/s", float64(l))
}
