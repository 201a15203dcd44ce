package main_test

import (
	"testing"

	enotify "enotify/cmd/enotify"
	"enotify/cmd/enotify/guide"
)

// Where a topic had the name of a command, help could show but one of them.
func TestNoTopicIsACommand(t *testing.T) {
	t.Parallel()
	for _, topic := range guide.Topics() {
		for _, cmd := range enotify.Root().Commands() {
			if cmd.Name() == topic.Name {
				t.Errorf("topic %s: there is a command of that name; give the page another", topic.Name)
			}
		}
	}
}
