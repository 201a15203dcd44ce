package throttle_test

import (
	"testing"
	"time"

	"golang.org/x/time/rate"

	"enotify/sender/throttle"
)

// A batch is admitted as a whole or not at all: what is not admitted costs no
// domain its rate, and no site a place.
func TestAdmitAll(t *testing.T) {
	t.Parallel()
	now := time.Now()
	var th throttle.Throttle
	th.SetPolicies(map[string]throttle.Policy{"slow.example": {Rate: rate.Every(time.Minute), Burst: 1}})
	for _, name := range []string{"slow.example", "a.example", "b.example"} {
		th.Assign(name, "site-of-"+name, now)
		th.Answered("site-of-"+name, now)
	}
	now = now.Add(time.Minute) // a token for slow.example
	if th.AdmitAll(map[string]int{"slow.example": 2, "a.example": 1}, false, now) {
		t.Error("two messages at a rate of one: got them admitted, want none")
	}
	if th.AdmitAll(map[string]int{"slow.example": 1, "a.example": 1000}, false, now) {
		t.Error("1000 messages to one site: got them admitted, want none")
	}
	if !th.AdmitAll(map[string]int{"slow.example": 1, "a.example": 1, "b.example": 1}, false, now) {
		t.Error("one message to each: got none admitted, want all; what was refused before must have cost nothing")
	}
	if th.AdmitAll(map[string]int{"slow.example": 1}, false, now) {
		t.Error("a second message within the minute: got it admitted, want none")
	}

	// domains of one site share its places
	th.Assign("c.example", "shared", now)
	th.Assign("d.example", "shared", now)
	now = now.Add(time.Minute)
	if th.AdmitAll(map[string]int{"c.example": 1, "d.example": 1}, false, now) {
		t.Error("two messages to a site that has not answered yet: got them admitted, want none")
	}
	if !th.AdmitAll(map[string]int{"c.example": 1}, false, now) {
		t.Error("one message to a site that has not answered yet: got none admitted, want it")
	}
}
