package node_test

import (
	"testing"

	"enotify/cmd/enotify/node"
)

// With the slow connections beside them, what there may be by default fits into
// the files that the system allows.
func TestDefaultConnectionsFitTheFileLimit(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ files, want int }{{0, 500}, {64, 10}, {1024, 241}, {20_000, 500}} {
		if got := node.Fitting(test.files); got != test.want {
			t.Errorf("%d files: got %d connections, want %d", test.files, got, test.want)
		}
	}
}
