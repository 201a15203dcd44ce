package node_test

import (
	"runtime"
	"runtime/debug"
	"testing"

	"enotify/cmd/enotify/node"
)

func TestSmallHeapHasRoom(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ live, percent int }{
		{0, 800}, // Go collects first at 4 MiB with 100 %, so at 32 MiB with 800
		{1 << 20, 800},
		{8 << 20, 300},
		{16 << 20, 100},
		{20 << 20, 90},
		{64 << 20, 90},
	} {
		if got := node.PercentFor(uint64(c.live)); got != c.percent {
			t.Errorf("with %d octets in use, the heap may grow by %d %%, want %d", c.live, got, c.percent)
		}
	}
}

// TestRoomyHeapHeedsGOGC is not parallel: what it changes holds for the process.
func TestRoomyHeapHeedsGOGC(t *testing.T) {
	const asked = 150
	defer debug.SetGCPercent(debug.SetGCPercent(asked))
	changes := func(collections int) bool {
		for range collections {
			runtime.GC()
			if debug.SetGCPercent(asked) != asked {
				return true
			}
		}
		return false
	}
	t.Setenv("GOGC", "150")
	node.RoomyHeap()
	if changes(20) {
		t.Error("the heap grows by another share than GOGC says")
	}
	t.Setenv("GOGC", "")
	node.RoomyHeap()
	if !changes(10_000) {
		t.Errorf("without GOGC the heap grows by %d %% still", asked)
	}
}
