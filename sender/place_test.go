package sender_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"enotify/sender"
)

// Of 40 places a tenth is kept for urgent messages, and half of the others is for sites
// that have not taken a message yet.
func TestPlacesAreShared(t *testing.T) {
	t.Parallel()
	p := sender.NewPlaces(40)
	for _, step := range []struct {
		who  string
		got  int
		want int
	}{
		{"newcomers", p.Fill(sender.Newcomer, 100), 18},
		{"ordinary messages", p.Fill(sender.Ordinary, 100), 18},
		{"newcomers when all is taken", p.Fill(sender.Newcomer, 100), 0},
		{"urgent messages", p.Fill(sender.Urgent, 100), 4},
	} {
		if step.got != step.want {
			t.Errorf("places for %s: got %d, want %d", step.who, step.got, step.want)
		}
	}
}

// A connection that does not move leaves its place to others, until there are two such
// connections for each place. Then those that have been opened for longest end, once
// they had five seconds.
func TestPlacesOfSlowConnections(t *testing.T) {
	t.Parallel()
	const limit = 40
	p := sender.NewPlaces(limit)
	var got []int
	for range 4 {
		got = append(got, p.Fill(sender.Ordinary, 100))
		p.Pass(time.Second)
	}
	// 36 of 40 are for ordinary messages. 80 may be slow: all of two rounds, and 8 of the third.
	if want := []int{36, 36, 36, 8}; !cmp.Equal(got, want) {
		t.Errorf("connections that found a place, by second: got %v, want %v", got, want)
	}
	if n := p.MadeWay(); n != 0 {
		t.Errorf("connections that made way after four seconds: got %d, want none", n)
	}
	p.Pass(time.Second)
	if n := p.MadeWay(); n != 1 {
		t.Errorf("connections that made way after five seconds: got %d, want one at a time", n)
	}

	first := sender.NewPlaces(limit)
	if n := first.Fill(sender.Newcomer, 100); n != 18 {
		t.Errorf("first connections of sites: got %d places, want 18", n)
	}
	first.Pass(250 * time.Millisecond) // a site that has taken nothing yet gets less time
	if n := first.Fill(sender.Newcomer, 100); n != 18 {
		t.Errorf("after a quarter of a second: got %d more places, want 18", n)
	}
}

// Sites that are known to be slow have places among those of slow connections alone, and
// leave some of them to others.
func TestPlacesOfSitesKnownToBeSlow(t *testing.T) {
	t.Parallel()
	p := sender.NewPlaces(40)
	if got, want := p.Fill(sender.Laggard, 100), 60; got != want {
		t.Errorf("places for slow sites: got %d, want %d of the 80 of slow connections", got, want)
	}
	if got, want := p.Fill(sender.Ordinary, 100), 36; got != want {
		t.Errorf("places for others then: got %d, want %d", got, want)
	}
	p.Pass(time.Second)
	if got, want := p.Fill(sender.Ordinary, 100), 20; got != want {
		t.Errorf("places when these do not move: got %d, want the %d left for slow connections", got, want)
	}
}

// Where the first messages of other sites are quick, a new site counts as slow sooner.
func TestPlacesOfNewSitesBesideQuickOnes(t *testing.T) {
	t.Parallel()
	p := sender.NewPlaces(40)
	for range 10 {
		p.Fill(sender.Newcomer, 1)
		p.Carry(5 * time.Millisecond)
	}
	p.Fill(sender.Newcomer, 100)
	p.Pass(49 * time.Millisecond)
	if n := p.Fill(sender.Newcomer, 100); n != 0 {
		t.Errorf("after 49 ms: got %d more places, want none", n)
	}
	p.Pass(time.Millisecond)
	if n := p.Fill(sender.Newcomer, 100); n != 18 {
		t.Errorf("after 50 ms, where others take 5: got %d more places, want 18", n)
	}
}
