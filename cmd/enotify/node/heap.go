package node

import (
	"os"
	"runtime"
	"runtime/debug"
	gometrics "runtime/metrics"
)

// smallHeap is how far the heap of a node may grow before its garbage is collected, also where
// that is more than twice of what is in use. A node with few connections has 9 MiB in use, and
// would collect ten times a second at full speed: each time takes back the stacks of those
// that wait for a message, too, which grow again.
const smallHeap = 32 << 20 // octets

const (
	usualPercent = 100     // of what is in use, that Go lets the heap grow by
	firstHeap    = 4 << 20 // octets at which Go collects first, with usualPercent
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
	if live >= smallHeap/2 {
		return usualPercent
	}
	return int(min(usualPercent*smallHeap/firstHeap, 100*(smallHeap-live)/max(1, live)))
}

// afterEachCollection calls do after each collection of garbage from now on.
func afterEachCollection(do func()) {
	garbage := &struct{ self *int }{} // a pointer in it: tiny values without one share their place with others
	runtime.AddCleanup(garbage, func(do func()) {
		do()
		afterEachCollection(do)
	}, do)
}
