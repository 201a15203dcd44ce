package insight_test

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"enotify/queue"
	"enotify/queue/insight"
	"enotify/queue/queuetest"
)

// What the DNS said of domains is kept, and lasts by its TTL.
func TestNoteDomains(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	no := queue.Outcome{State: queue.Bounced, Class: queue.Policy,
		Reply: queue.Reply{Code: 556, Enhanced: "5.1.10", Text: "null MX"}}
	facts := []queue.DomainFact{
		{Domain: "a.example", Survey: queue.Survey{Site: "google", TTL: 3600e9}},
		{Domain: "b.example", Survey: queue.Survey{Site: "b.example", TTL: 3600e9, NoMail: &no}},
	}
	if err := f.DB.NoteDomains(t.Context(), facts); err != nil {
		t.Fatal(err)
	}
	got, err := insight.Of(f.DB).DomainFacts(t.Context(), []string{"a.example", "b.example", "c.example"})
	if err != nil || len(got) != 2 {
		t.Fatalf("got %v, %v; want two", got, err)
	}
	for i := range got {
		if got[i].Domain != facts[i].Domain || got[i].Site != facts[i].Site ||
			!cmp.Equal(got[i].NoMail, facts[i].NoMail, cmpopts.EquateComparable(netip.Addr{})) ||
			got[i].TTL > facts[i].TTL || got[i].TTL < facts[i].TTL-60e9 {
			t.Errorf("got %+v, want %+v", got[i], facts[i])
		}
	}
	f.Exec(`UPDATE enotify.domain SET surveyed_until = now()`)
	if got, err := insight.Of(f.DB).DomainFacts(t.Context(), []string{"a.example"}); err != nil || len(got) != 0 {
		t.Errorf("when its time has run out: got %v, %v; want none", got, err)
	}
}
