package engine_test

import (
	"testing"

	"enotify/queue/engine"
)

// BenchmarkJournal writes the two lines of a message, and a third per hundred.
func BenchmarkJournal(b *testing.B) {
	dir := b.TempDir()
	b.ReportAllocs()
	if err := engine.WriteJournal(dir, b.Loop); err != nil {
		b.Fatal(err)
	}
}
