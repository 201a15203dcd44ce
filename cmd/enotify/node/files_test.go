package node_test

import (
	"testing"

	"enotify/cmd/enotify/node"
)

// With the slow connections beside them, what there may be by default fits into
// the files that the system allows.
func TestDefaultConnectionsFitTheFileLimit(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ files, want, slow int }{
		{0, 750, 1500}, {64, 10, 10}, {1024, 241, 483}, {2048, 582, 1164}, {1 << 20, 750, 1500},
	} {
		got := node.Fitting(test.files)
		if slow := node.SlowFitting(got, test.files); got != test.want || slow != test.slow {
			t.Errorf("%d files: got %d connections and %d slow ones, want %d and %d", test.files, got, slow, test.want,
				test.slow)
		}
	}
	if got := node.SlowFitting(50, 1<<20); got != 500 {
		t.Errorf("slow ones beside 50 connections: got %d, want 500: few connections meet as many slow sites", got)
	}
}
