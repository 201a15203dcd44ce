package figures_test

import (
	"testing"

	"enotify/cmd/enotify/figures"
)

func TestCount(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 123456: "123,456", 1234567: "1,234,567",
		-1234: "-1,234", -123: "-123"} {
		if got := figures.Count(n); got != want {
			t.Errorf("%d: got %s, want %s", n, got, want)
		}
	}
	for n, want := range map[int]string{0: "0 batches", 1: "1 batch", 2000: "2,000 batches"} {
		if got := figures.Some(n, "batch"); got != want {
			t.Errorf("%d: got %s, want %s", n, got, want)
		}
	}
}
