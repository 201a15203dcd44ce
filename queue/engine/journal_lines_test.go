package engine_test

import (
	"encoding/json"
	"net/netip"
	"testing"
	"time"

	"enotify/queue"
	"enotify/queue/engine"
)

// The journal has outcomes in JSON, whoever writes it.
func TestOutcomesInTheJournal(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "Ok: queued as 4F2", `"quoted" \ <a@b.test> & more`, "two\nlines", "täglich",
		"\x7f", "\xff", "a\u2028b", "\x00"} {
		for _, o := range []queue.Outcome{
			{},
			{State: queue.Delivered, Reply: queue.Reply{Code: 250, Enhanced: "2.0.0", Text: text}, Host: "mx.a.test",
				Site: "a.test"},
			{State: queue.Delivered, Reply: queue.Reply{Code: 250, Text: text}, Egress: netip.MustParseAddr("2001:db8::1")},
			{State: queue.Deferred, Class: queue.Offline, Host: text, After: 90 * time.Second},
			{State: queue.Bounced, Class: queue.Other, Site: text, Treatment: queue.Treatment{SlowsSite: true}},
			{State: queue.Deferred, Class: queue.NotBegun, Fault: text},
		} {
			want, err := json.Marshal(&o)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := engine.AppendOutcome([]byte("= "), &o); err != nil || string(got) != "= "+string(want) {
				t.Errorf("got %s (%v), want = %s", got, err, want)
			}
		}
	}
}
