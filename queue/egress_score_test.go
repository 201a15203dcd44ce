package queue_test

import (
	"fmt"
	"testing"

	"enotify/queue"
)

// preferred is the address that mail for a destination leaves from.
func preferred(destination string, weights map[string]int) (best string) {
	for egress, weight := range weights {
		if best == "" ||
			queue.Preference(destination, egress, weight) > queue.Preference(destination, best, weights[best]) {
			best = egress
		}
	}
	return best
}

// Destinations spread over addresses by weight, and an address that goes moves only its own.
func TestPreference(t *testing.T) {
	t.Parallel()
	const n = 4000
	all := map[string]int{"192.0.2.1": 1, "192.0.2.2": 1, "2001:db8::1": 2}
	fewer := map[string]int{"192.0.2.1": 1, "2001:db8::1": 2}
	got := map[string]int{}
	for i := range n {
		site := fmt.Sprintf("site%d.example", i)
		was := preferred(site, all)
		got[was]++
		if is := preferred(site, fewer); was != "192.0.2.2" && is != was {
			t.Errorf("%s: got %s when another address went, want %s as before", site, is, was)
		}
	}
	for egress, weight := range all {
		if want := n * weight / 4; got[egress] < want*9/10 || got[egress] > want*11/10 {
			t.Errorf("%s of weight %d: got %d of %d destinations, want about %d", egress, weight, got[egress], n, want)
		}
	}
}
