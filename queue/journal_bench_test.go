package queue_test

import (
	"testing"

	"enotify/queue"
)

// BenchmarkJournal writes the two lines of a message, and a third per hundred.
func BenchmarkJournal(b *testing.B) {
	dir := b.TempDir()
	b.ReportAllocs()
	if err := queue.WriteJournal(dir, b.Loop); err != nil {
		b.Fatal(err)
	}
}
