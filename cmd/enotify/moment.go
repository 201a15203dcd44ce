package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// momentIn reads a time as operators write it: RFC 3339, or how long from now
// (2h, 90m, 3d, 1w2d12h). Of the latter, none is in the past.
func momentIn(text string, now time.Time) (time.Time, error) {
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t, nil
	}
	d, err := parseSpan(text)
	if err != nil {
		return time.Time{}, fmt.Errorf("%q is neither a time such as %s nor a duration from now such as 2h or 3d", text, now.Format(time.RFC3339))
	}
	return now.Add(d), nil
}

// parseSpan is time.ParseDuration with days and weeks, and without signs.
func parseSpan(text string) (time.Duration, error) {
	var sum time.Duration
	rest := text
	for _, unit := range []struct {
		letter string
		length time.Duration
	}{{"w", 7 * 24 * time.Hour}, {"d", 24 * time.Hour}} {
		number, after, found := strings.Cut(rest, unit.letter)
		if !found {
			continue
		}
		n, err := strconv.ParseUint(number, 10, 16)
		if err != nil {
			return 0, fmt.Errorf("%q is no duration", text)
		}
		sum += time.Duration(n) * unit.length
		if rest = after; rest == "" {
			return sum, nil
		}
	}
	d, err := time.ParseDuration(rest)
	if err != nil || strings.ContainsAny(rest, "+-") || sum+d < 0 {
		return 0, fmt.Errorf("%q is no duration", text)
	}
	return sum + d, nil
}
