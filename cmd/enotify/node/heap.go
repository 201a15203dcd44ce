package node

import (
	"os"
	"runtime"
	"runtime/debug"
	gometrics "runtime/metrics"
)

// smallHeap is how far the heap of a node may grow before its garbage is collected, also where
// that is more than about twice of what is in use. A node with few connections has 9 MiB in use, and
// would collect ten times a second at full speed: each time takes back the stacks of those
// that wait for a message, too, which grow again.
const smallHeap = 32 << 20 // octets

const (
	leastPercent = 90      // of what is in use, that the heap may grow by; Go's own is 100
	firstHeap    = 4 << 20 // octets at which Go collects first, with 100 %
)

// RoomyHeap has this process collect its garbage less often while its heap is small, unless
// GOGC says how often. A limit that is set by GOMEMLIMIT holds in any case.
func RoomyHeap() {
	if os.Getenv("GOGC") != "" {
		return
	}
	afterEachCollection(func() {
		live := []gometrics.Sample{{Name: "/gc/heap/live:bytes"}}
		gometrics.Read(live)
		debug.SetGCPercent(percentFor(live[0].Value.Uint64()))
	})
}

// percentFor is by how much of the octets in use the heap may grow.
func percentFor(live uint64) int {
	room := smallHeap - int64(min(live, smallHeap))
	return int(max(leastPercent, min(100*smallHeap/firstHeap, 100*room/max(1, int64(live)))))
}

// afterEachCollection calls do after each collection of garbage from now on.
func afterEachCollection(do func()) {
	garbage := &struct{ self *int }{} // a pointer in it: tiny values without one share their place with others
	runtime.AddCleanup(garbage, func(do func()) {
		do()
		afterEachCollection(do)
	}, do)
}
