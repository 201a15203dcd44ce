// Package figures writes counts, shares, durations, times and rates as people
// read them, on the terminal and in reports, and reads what they write.
package figures

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"enotify/queue"
)

// Count is a number with its digits in groups of three.
func Count(n int) string {
	digits := strconv.Itoa(n)
	for i := len(digits) - 3; i > 0 && digits[i-1] != '-'; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// Some is a number of things: 1 recipient, 2,000 recipients, 3 batches.
func Some(n int, thing string) string {
	switch {
	case n == 1:
		return "1 " + thing
	case strings.HasSuffix(thing, "s") || strings.HasSuffix(thing, "ch"):
		return Count(n) + " " + thing + "es"
	}
	return Count(n) + " " + thing + "s"
}

// Share is how many of how many: 1,200/3,000.
func Share(n, of int) string { return Count(n) + "/" + Count(of) }

// Percent is a share of 1, with a decimal where it is small.
func Percent(share float64) string {
	if share > 0 && share < 0.1 {
		return strconv.FormatFloat(100*share, 'f', 1, 64) + " %"
	}
	return strconv.FormatFloat(100*share, 'f', 0, 64) + " %"
}

// Few lists up to n things and counts the rest.
func Few(things []string, n int) string {
	if len(things) <= n {
		return strings.Join(things, ", ")
	}
	return strings.Join(things[:n], ", ") + fmt.Sprintf(" and %s more", Count(len(things)-n))
}

// Counts lists how many recipients are in each state, without empty states and the
// states in leftOut: 40 deferred, 3 bounced.
func Counts(counts []queue.Count, leftOut ...queue.State) []string {
	var said []string
	for _, c := range counts {
		if c.N > 0 && !slices.Contains(leftOut, c.State) {
			said = append(said, Count(c.N)+" "+string(c.State))
		}
	}
	return said
}
