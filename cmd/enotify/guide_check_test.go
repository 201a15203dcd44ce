//go:build check

package main_test

import (
	"testing"

	"enotify/cmd/enotify/guide"
)

// TestGuidePages runs every command of the guide, a world per page, as TestReadme does.
func TestGuidePages(t *testing.T) {
	t.Parallel()
	program := plain(t)
	for _, topic := range guide.Topics() {
		t.Run(topic.Name, func(t *testing.T) {
			t.Parallel()
			page, ok := guide.Page(topic.Name)
			if !ok {
				t.Fatalf("no page %s", topic.Name)
			}
			runPage(t, program, page)
		})
	}
}
