package engine_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"enotify/queue/engine"
)

// Messages are recorded in any order, and all others become slow in time.
func TestFlightsAreRecordedInAnyOrder(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		recorded []int
		want     []int32
	}{
		{nil, []int32{0, 1, 2, 3}},
		{[]int{0}, []int32{1, 2, 3}},
		{[]int{1}, []int32{0, 2, 3}},
		{[]int{2}, []int32{0, 1, 3}},
		{[]int{2, 0}, []int32{1, 3}},
		{[]int{1, 2, 0}, []int32{3}},
	} {
		got, slow := engine.SlowFlights(test.recorded...)
		if !cmp.Equal(got, test.want) || slow != len(test.want) {
			t.Errorf("with %v recorded: got %v under way, %d slow, want %v, all slow", test.recorded, got, slow, test.want)
		}
	}
}
