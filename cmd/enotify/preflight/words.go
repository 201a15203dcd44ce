package preflight

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"enotify/cmd/enotify/figures"
)

// span is a duration as one plans by it.
func span(d time.Duration) string {
	d = max(d, time.Second)
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

// percent is a share in words, exact where it is small.
func percent(share float64) string {
	if share > 0 && share < 0.1 {
		return strconv.FormatFloat(100*share, 'f', 1, 64) + " %"
	}
	return strconv.FormatFloat(100*share, 'f', 0, 64) + " %"
}

// few lists up to n things and counts the rest.
func few(things []string, n int) string {
	if len(things) <= n {
		return strings.Join(things, ", ")
	}
	return strings.Join(things[:n], ", ") + fmt.Sprintf(" and %s more", figures.Count(len(things)-n))
}

// either is a where it is not empty, else b.
func either(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
