package queue_test

import (
	"os"
	"regexp"
	"slices"
	"testing"

	"enotify/queue"
)

// AlertKinds has every kind that the package declares: the metrics begin with it.
func TestAlertKindsAreComplete(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("alert.go")
	if err != nil {
		t.Fatal(err)
	}
	declared := regexp.MustCompile(`(?m)^\tAlert\w+ += "(\w+)"`).FindAllStringSubmatch(string(source), -1)
	if len(declared) == 0 {
		t.Fatal("kinds declared in alert.go: got none")
	}
	for _, match := range declared {
		if !slices.Contains(queue.AlertKinds, match[1]) {
			t.Errorf("AlertKinds: got %v, want %s among them", queue.AlertKinds, match[1])
		}
	}
}
