package figures

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Span is a duration, as exact as one plans by it: seconds up to two minutes,
// minutes up to two hours, tens of minutes up to two days, days from there.
func Span(d time.Duration) string {
	switch {
	case d < 2*time.Minute:
		return fmt.Sprintf("%d s", d.Round(time.Second)/time.Second)
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min", d.Round(time.Minute)/time.Minute)
	case d < 48*time.Hour:
		d = d.Round(10 * time.Minute)
		if rest := d % time.Hour; rest > 0 {
			return fmt.Sprintf("%d h %d min", d/time.Hour, rest/time.Minute)
		}
		return fmt.Sprintf("%d h", d/time.Hour)
	default:
		return fmt.Sprintf("%d days", d.Round(24*time.Hour)/(24*time.Hour))
	}
}

// Days is a duration in whole days, as in "1 day" or "30 days".
func Days(d time.Duration) string { return Some(int(d/(24*time.Hour)), "day") }

// Estimate is the Span of something still to come, which takes a second at
// least.
func Estimate(d time.Duration) string { return Span(max(d, time.Second)) }

// Clock is a time by the reader's clock, with its zone.
func Clock(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05 MST") }

// TimeOfDay is Clock without the day.
func TimeOfDay(t time.Time) string { return t.Local().Format("15:04:05 MST") }

// ParseMoment reads a time as operators write it: RFC 3339, or how long after
// now (2h, 90m, 3d, 1w2d12h). A duration never leads into the past.
func ParseMoment(text string, now time.Time) (time.Time, error) {
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t, nil
	}
	d, err := ParseSpan(text)
	if err != nil {
		return time.Time{}, fmt.Errorf("%q is neither a time such as %s nor a duration from now such as 2h or 3d", text,
			now.Format(time.RFC3339))
	}
	return now.Add(d), nil
}

// ParseSpan is time.ParseDuration with days and weeks, and without signs.
func ParseSpan(text string) (time.Duration, error) {
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
