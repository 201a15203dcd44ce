package bounce_test

import (
	"strings"
	"testing"

	"enotify/sender/bounce"
)

// Every rule has an example that it decides: a rule that an earlier one hides
// is dead and must go.
func TestRules(t *testing.T) {
	t.Parallel()
	for _, err := range bounce.Check() {
		t.Error(err)
	}
}

// examples are the examples of the built-in rules.
func examples() (replies []string) {
	for line := range strings.SplitSeq(bounce.BuiltIn(), "\n") {
		if reply, ok := strings.CutPrefix(line, "example "); ok {
			replies = append(replies, reply)
		}
	}
	return replies
}
