// Package figures says numbers as people read them, on the terminal and in reports.
package figures

import (
	"strconv"
	"strings"
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
